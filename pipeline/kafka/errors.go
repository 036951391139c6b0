package kafka

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// produceError sorts a failed record into the kinds that Producer promises.
func produceError(topic string, err error) error {
	var answer *kerr.Error
	kind := ErrUnacknowledged
	switch {
	case errors.Is(err, kgo.ErrMaxBuffered):
		kind = ErrBufferFull
	case errors.As(err, &answer) && !answer.Retriable:
		kind = ErrRefused
	}
	return fmt.Errorf("post to %s: %w: %w", topic, kind, err)
}
