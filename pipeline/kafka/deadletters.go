package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// DeadLetter is a record or timer that a stage could not process.
type DeadLetter struct {
	// Partition and Offset of the dead letters' topic.
	Partition int32
	Offset    int64
	// Stage that could not process it, and why; a panic's reason has its stack.
	Stage, Reason string
	// Of the stage's mailbox: where the record was read, or how far the partition was processed when the
	// timer failed.
	MailboxPartition int32
	MailboxOffset    int64
	// Key and Value of the record, and its Kafka timestamp. Of a timer the key and when it was due.
	Key, Value []byte
	Time       time.Time
	// Timer's name; "" for a record.
	Timer string
	// Full length of a value that did not fit; 0 for one that did.
	Full int
	// Failed is when it failed; zero where that was not recorded.
	Failed time.Time
	// Resolution; nil while there is none.
	Resolution *Resolution
}

// Resolution is what became of a dead letter.
type Resolution struct {
	// How is deadletter.Replayed or deadletter.Dropped.
	How string
	// By and Why: who did it, and the reason given.
	By, Why string
	At      time.Time
}

// Place of the dead letter in its topic, "<partition>/<offset>": unique.
func (l *DeadLetter) Place() string { return fmt.Sprintf("%d/%d", l.Partition, l.Offset) }

// Name is what the text gate and logs call it: where it was read, or the timer. Timers of two keys may
// have the same.
func (l *DeadLetter) Name() string {
	f := state.Failure{Next: l.MailboxOffset, Record: &pipeline.Record{Topic: schemas.Mailbox(l.Stage), Partition: l.MailboxPartition, Offset: l.MailboxOffset}}
	if l.Timer != "" {
		f.Record, f.Timer = nil, &pipeline.Timer{Name: l.Timer, At: l.Time}
	}
	return f.Name(l.Stage, l.MailboxPartition)
}

// ErrDeadLetter is wrapped by errors about what is in the dead letters' topic.
var ErrDeadLetter = errors.New("dead letter")

// parseDeadLetter reads a record of the dead letters' topic. Exactly one of letter and resolves is set;
// resolves is the place that how is about.
func parseDeadLetter(r *kgo.Record) (letter *DeadLetter, resolves string, how *Resolution, err error) {
	header := map[string]string{}
	for _, h := range r.Headers {
		header[h.Key] = string(h.Value)
	}
	if place, ok := header[deadletter.HeaderResolves]; ok {
		return nil, place, &Resolution{How: header[deadletter.HeaderResolution], By: header[deadletter.HeaderBy], Why: header[deadletter.HeaderWhy], At: r.Timestamp.UTC()}, nil
	}
	l := &DeadLetter{
		Partition: r.Partition, Offset: r.Offset, Stage: header[deadletter.HeaderStage], Reason: header[deadletter.HeaderReason],
		Key: r.Key, Value: r.Value, Time: r.Timestamp.UTC(), Timer: header[deadletter.HeaderTimer],
	}
	number := func(name string, bits int) int64 {
		n, nerr := strconv.ParseInt(header[name], 10, bits)
		if nerr != nil && err == nil {
			err = fmt.Errorf("%w at %s: header %s: %w", ErrDeadLetter, l.Place(), name, nerr)
		}
		return n
	}
	l.MailboxPartition, l.MailboxOffset = int32(number(deadletter.HeaderPartition, 32)), number(deadletter.HeaderOffset, 64)
	if _, ok := header[deadletter.HeaderTimestamp]; ok {
		l.Time = time.UnixMilli(number(deadletter.HeaderTimestamp, 64)).UTC()
	}
	if _, ok := header[deadletter.HeaderFailed]; ok {
		l.Failed = time.UnixMilli(number(deadletter.HeaderFailed, 64)).UTC()
	}
	if _, ok := header[deadletter.HeaderTruncated]; ok {
		l.Full = int(number(deadletter.HeaderTruncated, 32))
	}
	if err == nil && l.Stage == "" {
		err = fmt.Errorf("%w at %s: no stage", ErrDeadLetter, l.Place())
	}
	return l, "", nil, err
}

// DeadLetters is everything that was in the dead letters' topic when it was read.
type DeadLetters struct {
	// All dead letters, by when they failed.
	All []DeadLetter
	// Bad records that could not be read as dead letters.
	Bad []error
}

// ReadDeadLetters reads the topic to its end. took is told of how many records were read, of how many.
func ReadDeadLetters(ctx context.Context, c Connection, took func(n, of int64)) (*DeadLetters, error) {
	return readDeadLetters(func(fn func(*kgo.Record) error) error {
		return readTopic(ctx, c, schemas.TopicDeadLetters, took, fn)
	})
}

// DeadLettersOf reads the dead letters of one key.
func (c Connection) DeadLettersOf(ctx context.Context, key []byte) (*DeadLetters, error) {
	return readDeadLetters(func(fn func(*kgo.Record) error) error {
		return c.ReadKey(ctx, schemas.TopicDeadLetters, key, fn)
	})
}

func readDeadLetters(read func(func(*kgo.Record) error) error) (*DeadLetters, error) {
	all, resolved := &DeadLetters{}, map[string]*Resolution{}
	err := read(func(r *kgo.Record) error {
		l, resolves, how, err := parseDeadLetter(r)
		switch {
		case err != nil:
			all.Bad = append(all.Bad, err)
		case how != nil:
			if resolved[resolves] == nil { // only the first had an effect
				resolved[resolves] = how
			}
		default:
			all.All = append(all.All, *l)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range all.All {
		l := &all.All[i]
		l.Resolution = resolved[l.Place()]
	}
	slices.SortStableFunc(all.All, func(a, b DeadLetter) int { return a.when().Compare(b.when()) })
	return all, nil
}

// when it failed, as well as is known.
func (l *DeadLetter) when() time.Time {
	if l.Failed.IsZero() {
		return l.Time
	}
	return l.Failed
}

var (
	// ErrNoDeadLetter says that there is no such dead letter, or no longer.
	ErrNoDeadLetter = errors.New("no such dead letter")
	// ErrAmbiguous says that several dead letters have that name.
	ErrAmbiguous = errors.New("several dead letters have that name")
)

// Find returns the dead letter of a place "<partition>/<offset>" or of a name as in Name.
func (d *DeadLetters) Find(place string) (*DeadLetter, error) {
	var found []*DeadLetter
	for i := range d.All {
		if l := &d.All[i]; l.Place() == place || l.Name() == place {
			found = append(found, l)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %s (they are kept for %d days; handoff dlq list shows all)", ErrNoDeadLetter, place, int(2*schemas.MailboxRetention.Hours()/24))
	case 1:
		return found[0], nil
	}
	places := make([]string, len(found))
	for i, l := range found {
		places[i] = l.Place()
	}
	return nil, fmt.Errorf("%w: %s is %s", ErrAmbiguous, place, strings.Join(places, ", "))
}
