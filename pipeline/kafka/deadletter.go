package kafka

import (
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// maxReason bounds the reason; a panic's has its stack.
const maxReason = 4 << 10

// deadLetter makes the record for what failed, and tells it in the log: by its name, for a key is somebody's number, and
// without a panic's stack, which is in the letter.
func (p *part) deadLetter(f *state.Failure) *kgo.Record {
	stage := p.in.r.cfg.Stage.Name()
	reason, _, _ := strings.Cut(f.Cause.Error(), "\n")
	p.in.r.cfg.Logger.Warn("set aside as a dead letter", "place", f.Name(stage, p.id), "reason", reason)
	r := p.produce.next()
	fillDeadLetter(r, stage, p.id, p.in.r.cfg.Now(), f)
	return r
}

// fillDeadLetter makes r the dead letter of what failed in a partition of the stage's mailbox.
func fillDeadLetter(r *kgo.Record, stage string, partition int32, now time.Time, f *state.Failure) {
	reason := strings.ToValidUTF8(f.Cause.Error(), "\uFFFD")
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	r.Topic, r.Key = schemas.TopicDeadLetters, f.Key
	header := func(name, value string) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	header(deadletter.HeaderReason, reason)
	header(deadletter.HeaderStage, stage)
	header(deadletter.HeaderTopic, schemas.Mailbox(stage))
	header(deadletter.HeaderPartition, strconv.Itoa(int(partition)))
	header(deadletter.HeaderFailed, strconv.FormatInt(now.UnixMilli(), 10))
	if f.Timer != nil {
		header(deadletter.HeaderOffset, strconv.FormatInt(f.Next, 10))
		header(deadletter.HeaderTimestamp, strconv.FormatInt(f.Timer.At.UnixMilli(), 10))
		header(deadletter.HeaderTimer, f.Timer.Name)
		r.Timestamp = f.Timer.At
		return
	}
	header(deadletter.HeaderOffset, strconv.FormatInt(f.Record.Offset, 10))
	header(deadletter.HeaderTimestamp, strconv.FormatInt(f.Record.Time.UnixMilli(), 10))
	r.Value, r.Timestamp = f.Record.Value, f.Record.Time
	// The value of a record that was hardly small enough, with these headers, is cut: the whole one is
	// in the mailbox, at the offset named.
	if room := maxBatchBytes - maxReason - 1024 - len(r.Key); len(r.Value) > max(room, 0) {
		header(deadletter.HeaderTruncated, strconv.Itoa(len(r.Value)))
		r.Value = r.Value[:max(room, 0)]
	}
}
