// Package inspect prints what a running or stopped Handoff has committed: the state of its stages,
// decoded, and how far they are behind.
package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// StatePrinter prints state items of one stage.
type StatePrinter struct {
	// Out takes the lines.
	Out io.Writer
	// JSON prints a JSON document a line instead of text.
	JSON bool
	// Stage that the state is of.
	Stage string
	// Contract says what entries decode to; nil for a sink, whose entries are JSON.
	Contract *turn.Contract
}

// itemLine is an item as JSON.
type itemLine struct {
	Kind      string          `json:"kind"`
	Stage     string          `json:"stage"`
	Partition int32           `json:"partition"`
	Key       string          `json:"key"`
	Name      string          `json:"name"`
	Type      string          `json:"type,omitempty"`
	Value     json.RawMessage `json:"value,omitempty"`
	Due       *time.Time      `json:"due,omitempty"`
	Call      *callLine       `json:"call,omitempty"`
	// Raw is the value of an entry that cannot be decoded; Problem says why.
	Raw     []byte `json:"raw,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// callLine is a pending call as JSON.
type callLine struct {
	Destination string          `json:"destination"`
	Lane        string          `json:"lane"`
	Created     *time.Time      `json:"created,omitempty"`
	NotBefore   *time.Time      `json:"not_before,omitempty"`
	GiveUpAt    *time.Time      `json:"give_up_at,omitempty"`
	Attempt     uint32          `json:"attempt,omitempty"`
	Incarnation string          `json:"incarnation,omitempty"`
	Command     json.RawMessage `json:"command,omitempty"`
}

// positionLine is a position as JSON.
type positionLine struct {
	Kind        string    `json:"kind"`
	Stage       string    `json:"stage"`
	Partition   int32     `json:"partition"`
	Offset      int64     `json:"offset"`
	Transaction uint64    `json:"transaction"`
	Clock       time.Time `json:"clock"`
	Schema      uint32    `json:"schema"`
}

// Position prints where the state of a partition stands.
func (p *StatePrinter) Position(partition int32, at state.Position) error {
	clock := time.UnixMilli(at.Clock).UTC()
	if p.JSON {
		return p.line(positionLine{"position", p.Stage, partition, at.Offset, at.Number, clock, at.Schema})
	}
	if at.Number == 0 {
		_, err := fmt.Fprintf(p.Out, "# %s/%d: nothing was ever committed\n", schemas.Changelog(p.Stage), partition)
		return err
	}
	_, err := fmt.Fprintf(p.Out, "# %s/%d: transaction %d, before offset %d of %s, clock %s\n",
		schemas.Changelog(p.Stage), partition, at.Number, at.Offset, schemas.Mailbox(p.Stage), clock.Format(time.RFC3339Nano))
	return err
}

// Item prints an item.
func (p *StatePrinter) Item(partition int32, item state.Item) error {
	l := itemLine{Kind: string(item.Kind), Stage: p.Stage, Partition: partition, Key: readable(item.Key), Name: readable([]byte(item.Name))}
	switch item.Kind {
	case state.Timer:
		l.Due = &item.Due
	case state.Call:
		l.Call = &callLine{
			Destination: item.Call.Destination, Lane: item.Call.Lane, Created: instant(item.Call.Created), NotBefore: instant(item.Call.NotBefore),
			GiveUpAt: instant(item.Call.GiveUpAt), Attempt: item.Call.Attempt, Incarnation: item.Call.Incarnation,
		}
		if len(item.Call.Body) > 0 {
			r := &handoffv1.Record{}
			l.Call.Command, l.Problem = decoded(r, proto.Unmarshal(item.Call.Body, r))
		}
	case state.Entry:
		p.entry(&l, item)
	}
	if p.JSON {
		return p.line(l)
	}
	return p.text(&l)
}

// entry decodes an entry's value. What cannot be decoded is shown raw: it is there.
func (p *StatePrinter) entry(l *itemLine, item state.Item) {
	if p.Contract == nil {
		if l.Type = "JSON"; json.Valid(item.Value) {
			l.Value = item.Value
		} else {
			l.Raw, l.Problem = item.Value, "it is no JSON"
		}
		return
	}
	m, err := p.Contract.Decode(item.Name, item.Value)
	if l.Value, l.Problem = decoded(m, err); l.Problem != "" {
		l.Raw = item.Value
		return
	}
	l.Type = string(m.ProtoReflect().Descriptor().FullName())
}

// decoded returns a message as compact JSON, with its fields' own names and what is not set left out.
func decoded(m proto.Message, err error) (value json.RawMessage, problem string) {
	var raw []byte
	if err == nil {
		raw, err = protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	}
	var compact bytes.Buffer
	if err == nil {
		err = json.Compact(&compact, raw) // protojson puts spaces where it likes
	}
	if err != nil {
		return nil, err.Error()
	}
	return compact.Bytes(), ""
}

func (p *StatePrinter) line(v any) error {
	e := json.NewEncoder(p.Out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (p *StatePrinter) text(l *itemLine) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %-5s  %s", l.Key, l.Kind, l.Name)
	var body json.RawMessage
	switch {
	case l.Due != nil:
		fmt.Fprintf(&b, "  due %s", l.Due.Format(time.RFC3339Nano))
	case l.Call != nil:
		raw, err := json.Marshal(l.Call)
		if err != nil {
			return fmt.Errorf("print call %s: %w", l.Name, err)
		}
		body = raw
	default:
		if body = l.Value; l.Type != "" {
			fmt.Fprintf(&b, "  (%s)", l.Type)
		}
	}
	b.WriteByte('\n')
	if l.Problem != "" {
		fmt.Fprintf(&b, "    cannot be decoded: %s\n    %d bytes: %x\n", l.Problem, len(l.Raw), l.Raw)
	}
	if len(body) > 0 {
		b.WriteString("    ")
		if err := json.Indent(&b, body, "    ", "  "); err != nil {
			return fmt.Errorf("print %s: %w", l.Name, err)
		}
		b.WriteByte('\n')
	}
	_, err := p.Out.Write(b.Bytes())
	return err
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// readable is a key or name as text; one that is not text is quoted, so that nothing reaches a terminal
// that moves its cursor.
func readable(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("%q", b)
	}
	for _, r := range string(b) {
		if r < ' ' || r == 0x7f {
			return fmt.Sprintf("%q", b)
		}
	}
	return string(b)
}
