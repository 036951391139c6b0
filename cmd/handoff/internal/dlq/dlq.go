// Package dlq shows dead letters to people and programs, and picks those that a command means.
package dlq

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Filter picks dead letters; zero values pick all.
type Filter struct {
	// Stage that could not process it.
	Stage string
	// Shop it is of.
	Shop string
	// Since when it failed, at the earliest.
	Since time.Time
	// Open picks only those that were neither replayed nor dropped.
	Open bool
}

// Pick returns the letters that the filter lets through, in their order.
func (f Filter) Pick(all []kafka.DeadLetter) []*kafka.DeadLetter {
	var picked []*kafka.DeadLetter
	for i := range all {
		l := &all[i]
		key, _ := schemas.ParseKey(l.Key) // a key of no shop is of shop ""
		if (f.Stage == "" || l.Stage == f.Stage) && (f.Shop == "" || key.Shop == f.Shop) &&
			!failedAt(l).Before(f.Since) && (!f.Open || l.Resolution == nil) {
			picked = append(picked, l)
		}
	}
	return picked
}

// ErrSince is wrapped by Since's errors.
var ErrSince = errors.New("not a time")

// Since reads a time as people give it: how long ago ("90m", "24h", "3d"), a day or a moment (UTC unless
// it says otherwise). Empty is the zero time.
func Since(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if d, err := time.ParseDuration(days + "h"); err == nil && d >= 0 {
			return now.Add(-24 * d), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %q; give how long ago (90m, 24h, 3d), a day (2026-03-02) or a moment (2026-03-02T10:00:00Z)", ErrSince, s)
}

func failedAt(l *kafka.DeadLetter) time.Time {
	if l.Failed.IsZero() {
		return l.Time
	}
	return l.Failed
}

// Table writes a line for each letter.
func Table(out io.Writer, letters []*kafka.DeadLetter) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "PLACE\tFAILED\tSTAGE\tKEY\tWHAT\tSTATUS\tREASON")
	for _, l := range letters {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Place(), failedAt(l).Format(time.DateTime), clean(l.Stage, 20),
			clean(string(l.Key), 40), clean(what(l), 40), status(l), clean(firstLine(l.Reason), 100))
	}
	return w.Flush()
}

func status(l *kafka.DeadLetter) string {
	if l.Resolution == nil {
		return "open"
	}
	return l.Resolution.How
}

// what kind of thing failed.
func what(l *kafka.DeadLetter) string {
	if l.Timer != "" {
		return "timer " + l.Timer
	}
	r := &handoffv1.Record{}
	if l.Full > 0 || proto.Unmarshal(l.Value, r) != nil {
		return "unreadable"
	}
	m := r.ProtoReflect()
	if f := m.WhichOneof(m.Descriptor().Oneofs().ByName("body")); f != nil {
		return string(f.Name())
	}
	return "no body"
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// clean makes a string of outside origin fit for a terminal's line.
func clean(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most-1]) + "…"
	}
	return s
}

// Letter is a dead letter as JSON.
type Letter struct {
	Place     string     `json:"place"`
	Name      string     `json:"name"`
	Stage     string     `json:"stage"`
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Offset    int64      `json:"offset"`
	Key       string     `json:"key"`
	Time      time.Time  `json:"time"`
	Failed    *time.Time `json:"failed,omitempty"`
	Timer     string     `json:"timer,omitempty"`
	What      string     `json:"what"`
	Reason    string     `json:"reason"`
	Status    string     `json:"status"`
	By        string     `json:"by,omitempty"`
	Why       string     `json:"why,omitempty"`
	Resolved  *time.Time `json:"resolved,omitempty"`
	// Record decoded, or its bytes where they are no record.
	Record json.RawMessage `json:"record,omitempty"`
	Value  []byte          `json:"value,omitempty"`
	// Bytes of the whole value, where only a part of it is here.
	Bytes int `json:"bytes,omitempty"`
}

// Of returns a letter as JSON, with its record if whole asks for it.
func Of(l *kafka.DeadLetter, whole bool) (Letter, error) {
	out := Letter{
		Place: l.Place(), Name: l.Name(), Stage: l.Stage, Topic: schemas.Mailbox(l.Stage), Partition: l.MailboxPartition,
		Offset: l.MailboxOffset, Key: strings.ToValidUTF8(string(l.Key), "\uFFFD"), Time: l.Time, Timer: l.Timer, What: what(l),
		Reason: firstLine(l.Reason), Status: status(l), Bytes: l.Full,
	}
	if !l.Failed.IsZero() {
		out.Failed = &l.Failed
	}
	if r := l.Resolution; r != nil {
		out.By, out.Why, out.Resolved = r.By, r.Why, &r.At
	}
	if !whole {
		return out, nil
	}
	out.Reason = l.Reason
	r := &handoffv1.Record{}
	switch {
	case l.Timer != "":
	case l.Full > 0 || proto.Unmarshal(l.Value, r) != nil:
		out.Value = l.Value
	default:
		b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(r)
		if err != nil {
			return out, fmt.Errorf("decode the record of %s: %w", l.Place(), err)
		}
		out.Record = b
	}
	return out, nil
}

// JSON writes the letters as one JSON array.
func JSON(out io.Writer, letters []*kafka.DeadLetter) error {
	all := make([]Letter, 0, len(letters))
	for _, l := range letters {
		j, err := Of(l, false)
		if err != nil {
			return err
		}
		all = append(all, j)
	}
	return encode(out, all)
}

// Show writes everything about one letter as JSON.
func Show(out io.Writer, l *kafka.DeadLetter) error {
	j, err := Of(l, true)
	if err != nil {
		return err
	}
	return encode(out, j)
}

func encode(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// Last returns the last n letters; all when n is 0.
func Last(letters []*kafka.DeadLetter, n int) []*kafka.DeadLetter {
	if n <= 0 || n >= len(letters) {
		return letters
	}
	return slices.Clone(letters[len(letters)-n:])
}
