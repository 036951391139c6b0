package clickhouse

import (
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/handoff-dev/handoff/pipeline"
)

// advice says what to do about an error code that trying again cannot mend.
// The codes are ClickHouse's (src/Common/ErrorCodes.cpp). Every other error,
// of the network, of load, of a server that is starting or read-only for now,
// is retried.
func advice(code int32) (string, bool) {
	switch code {
	case 60, 81: // UNKNOWN_TABLE, UNKNOWN_DATABASE
		return "the tables are missing: run the migrations", true
	case 16, 10, 47, 53, 70: // NO_SUCH_COLUMN_IN_TABLE, NOT_FOUND_COLUMN_IN_BLOCK, UNKNOWN_IDENTIFIER, TYPE_MISMATCH, CANNOT_CONVERT_TYPE
		return "the tables are of another version: run the migrations", true
	case 115, 62, 48: // UNKNOWN_SETTING, SYNTAX_ERROR, NOT_IMPLEMENTED
		return "the server is older than 24.8", true
	case 516, 497, 192: // AUTHENTICATION_FAILED, ACCESS_DENIED, UNKNOWN_USER
		return "check the user, the password and the grants", true
	}
	return "", false
}

// steer marks errors that trying again cannot mend.
func steer(err error) error {
	var e *clickhouse.Exception
	if errors.As(err, &e) {
		if what, ok := advice(e.Code); ok {
			return fmt.Errorf("%w: %s: %w", pipeline.ErrPermanent, what, err)
		}
	}
	return err
}
