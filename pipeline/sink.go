package pipeline

import (
	"context"
	"errors"
	"fmt"
)

// Sink takes a topic's records to an outside store exactly once: the runner's second mode. Before
// each Write the runner commits the intent; after a crash the partition's next owner writes exactly
// that range again before anything else.
type Sink interface {
	// Write stores the records of one intent, all or none. A second Write of an intent that was
	// already stored has no effect, whoever makes it: the token is the same and so are the rows.
	// Records are in offset order. An error that wraps ErrPermanent stops the sink; any other is
	// retried with the same intent.
	Write(ctx context.Context, in Intent, records []Record) error
	// Schema is the version of how records become rows; written into intents. An intent of another
	// version is refused with an error that says so.
	Schema() uint32
}

// Intent is a range of one partition that is about to be written.
type Intent struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// From and To are the offsets of the first and the last record, both included. Offsets between
	// them may be missing: transaction markers take some.
	From int64 `json:"from"`
	To   int64 `json:"to"`
	// Rows is the number of records in the range.
	Rows int `json:"rows"`
	// Schema is the sink's at the time.
	Schema uint32 `json:"schema"`
	// Again tells that the intent was tried before, by this process or one before it, and that nobody
	// knows what came of that. It is not stored.
	Again bool `json:"-"`
}

// Token names the range: the same for every attempt to write it.
func (in Intent) Token() string {
	return fmt.Sprintf("%s/%d/%d-%d", in.Topic, in.Partition, in.From, in.To)
}

// ErrPermanent marks an error that trying again cannot mend.
var ErrPermanent = errors.New("permanent")
