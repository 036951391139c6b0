// Package turn lets a stage speak in records, state messages and texts where pipeline speaks in bytes.
// A Turn is one record's or one timer's moment: the envelope decoded, the settings version resolved,
// ids derived, effects typed.
package turn

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"time"
	"unsafe"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/reuse"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Decider is the core of a stage: it decides what a turn means. See pipeline.Stage for what it may
// and may not do.
type Decider interface {
	Name() string
	// On decides one turn: t.Record is set, or t.Timer is.
	On(t *Turn) error
}

// Turn is one record or timer, the state under its key, and what the stage wants done. The turn, its record and what
// Make returned are used again for the next input: nothing of them may be kept when On returns.
type Turn struct {
	// Record that arrived; nil when a timer came due.
	Record *handoffv1.Record
	// Timer that came due; nil when a record arrived.
	Timer *pipeline.Timer
	// Key of both.
	Key schemas.Key
	// Now is the partition's clock; a timer's due time.
	Now time.Time
	// Shop is the settings version stamped on the record; the current one for a timer.
	Shop *settings.Shop
	// Version of Shop.
	Version uint64

	stage   string
	inKey   []byte // valid only during the turn
	keyCopy []byte // nil until something is emitted
	id      []byte
	hexID   string                 // "" until asked for
	now     *timestamppb.Timestamp // nil until asked for
	ordinal int
	state   pipeline.State
	fx      *pipeline.Effects
	memory  *memory
	opened  *opened // where it lies itself
	post    Outlet  // nil: into fx, encoded
	err     error
}

// Outlet takes a record that a turn posts to a topic. The record may share messages with the turn, with other
// records of it and with its state: it must not be changed.
type Outlet func(topic string, key []byte, r *handoffv1.Record)

// read opens the turn of an input. Errors wrap schemas.ErrRecord, schemas.ErrKey or
// pipeline.ErrSettingsPending.
func read(stage string, in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) (*Turn, error) {
	t := open(stage, in, st, fx)
	var err error
	if in.Timer != nil {
		if t.Key, err = schemas.ParseKey(in.Key); err != nil {
			return nil, err
		}
		t.id = schemas.TimerID(in.Key, stage, in.Timer.Name, in.Timer.At)
		t.Shop, t.Version, err = in.Settings.Current(t.Key.Shop)
		return t, err
	}
	t.Record = &t.opened.record
	if err = schemas.DecodeInto(t.Record, in.Record.Key, in.Record.Value, &t.memory.rooms); err != nil {
		return nil, err
	}
	return t, t.arrive(in.Settings)
}

// open takes a turn from the effects' memory.
func open(stage string, in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) *Turn {
	memory := memoryOf(fx)
	o := reuse.Zero[opened](&memory.rooms)
	o.turn = Turn{stage: stage, inKey: in.Key, Now: in.Now, Timer: in.Timer, state: st, fx: fx, memory: memory, opened: o}
	return &o.turn
}

// arrive takes from the turn's record what it says of the turn.
func (t *Turn) arrive(table pipeline.Settings) (err error) {
	t.Key, t.id, t.Version = schemas.KeyOf(t.Record), t.Record.GetId(), t.Record.GetSettingsVersion()
	t.Shop, err = table.At(t.Key.Shop, t.Version)
	return err
}

// Process runs a Decider as a pipeline.Stage would: open the turn, decide, report what went wrong.
func Process(d Decider, in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	t, err := read(d.Name(), in, st, fx)
	if err != nil {
		return err
	}
	return t.decide(d)
}

// Decide is Process without bytes: the input's record is r, which schemas.Decode would have returned, and what the
// turn posts goes to post instead of fx, not encoded. State keeps its bytes.
func Decide(d Decider, r *handoffv1.Record, in *pipeline.Input, st pipeline.State, fx *pipeline.Effects, post Outlet) error {
	t := open(d.Name(), in, st, fx)
	t.Record, t.post = r, post
	if err := t.arrive(in.Settings); err != nil {
		return err
	}
	return t.decide(d)
}

func (t *Turn) decide(d Decider) error {
	if again := t.Record.GetFireTimer(); again != nil {
		return t.fireAgain(again)
	}
	if err := d.On(t); err != nil {
		return err
	}
	return t.err
}

// ID is the id of the record or timer of this turn.
func (t *Turn) ID() []byte { return t.id }

// HexID is ID as text.
func (t *Turn) HexID() string {
	if t.hexID == "" {
		t.hexID = t.Hex(t.id)
	}
	return t.hexID
}

// Hex is schemas.HexID in memory like Join's.
func (t *Turn) Hex(id []byte) string {
	return text(hex.AppendEncode(t.fx.Room(hex.EncodedLen(len(id)))[:0], id))
}

// At is when the outside event behind this turn was received; the due time for a timer. Whether an
// answer was in time is judged by this.
func (t *Turn) At() time.Time {
	if t.Record != nil {
		return t.Record.GetReceivedAt().AsTime()
	}
	return t.Now
}

// NowStamp is Now for records and entries, which share it: it must not be changed.
func (t *Turn) NowStamp() *timestamppb.Timestamp {
	if t.now == nil {
		t.now = &t.opened.now
		t.now.Seconds, t.now.Nanos = t.Now.Unix(), int32(t.Now.Nanosecond())
	}
	return t.now
}

// Stamp is a time for records and entries.
func (t *Turn) Stamp(at time.Time) *timestamppb.Timestamp {
	return New(t, timestamppb.Timestamp{Seconds: at.Unix(), Nanos: int32(at.Nanosecond())})
}

// AtStamp is At for records and entries, which share it: it must not be changed.
func (t *Turn) AtStamp() *timestamppb.Timestamp {
	if t.Record != nil {
		return t.Record.GetReceivedAt()
	}
	return t.NowStamp()
}

// Place is where a record made by a timer belongs. A record made by a record inherits the latter's.
type Place struct {
	Channel      handoffv1.Channel
	Account      string
	Conversation string
}

// Here is the place of the turn's record; empty for a timer.
func (t *Turn) Here() Place {
	r := t.Record
	return Place{Channel: r.GetChannel(), Account: r.GetAccount(), Conversation: r.GetConversation()}
}

// PlaceOf returns the place of a conversation id.
func PlaceOf(conversation string) (Place, error) {
	channel, account, err := schemas.ParseConversation(conversation)
	return Place{Channel: channel, Account: account, Conversation: conversation}, err
}

// Make returns a new record of this turn's key at a place, without a body: id derived, times,
// settings version, trace and consent stamp carried over.
func (t *Turn) Make(at Place) *handoffv1.Record { return &t.make(at).record }

func (t *Turn) make(at Place) *made {
	m := Zero[made](t)
	out := &m.record
	out.Id = append(m.id[:0], schemas.EffectID(t.id, t.stage, t.ordinal)...)
	t.ordinal++
	out.Shop, out.Address, out.SettingsVersion = t.Key.Shop, t.Key.Address, t.Version
	out.Channel, out.Account, out.Conversation = at.Channel, at.Account, at.Conversation
	if r := t.Record; r != nil {
		out.EventTime, out.ReceivedAt = r.GetEventTime(), r.GetReceivedAt()
		out.Traceparent, out.Consent = r.GetTraceparent(), r.GetConsent()
	} else {
		out.EventTime, out.ReceivedAt = t.NowStamp(), t.NowStamp()
	}
	return m
}

// Emit posts a record that Make returned, its body set, to a topic under this turn's key. Its Kafka
// timestamp is the clock, so that the receiving partition's clock never runs behind what it learns.
func (t *Turn) Emit(topic string, r *handoffv1.Record) { t.emit(topic, t.keyBytes(), r) }

// EmitTo posts a record that Make returned to a topic under the key of another address of the shop.
func (t *Turn) EmitTo(topic, address string, r *handoffv1.Record) {
	r.Address = address
	t.emit(topic, schemas.KeyOf(r).Bytes(), r)
}

func (t *Turn) emit(topic string, key []byte, r *handoffv1.Record) {
	if t.post != nil {
		t.post(topic, key, r)
		return
	}
	value, err := t.marshal(r)
	if err != nil {
		t.fail(fmt.Errorf("encode record %s: %w", schemas.HexID(r.GetId()), err))
		return
	}
	t.fx.Emit(topic, key, value)
}

// Forward posts a changed copy of the turn's own record to a topic, with a new id and the same
// envelope; change may alter it before it is encoded. The body is the turn's record's own, not a copy of
// it: what change does to it, the turn sees too.
func (t *Turn) Forward(topic string, change func(*handoffv1.Record)) *handoffv1.Record {
	out := t.Make(t.Here())
	out.Body, out.PutBack = t.Record.GetBody(), t.Record.GetPutBack()
	// A field that a newer version added goes on.
	out.TakeUnknown(t.Record)
	if change != nil {
		change(out)
	}
	t.Emit(topic, out)
	return out
}

// Command posts a command to deliver and returns its call id. It is the one way texts, tickets and
// questions to the bot leave a stage.
func (t *Turn) Command(at Place, c *handoffv1.Command) (callID string) {
	r := t.Make(at)
	r.Body = New(t, handoffv1.Record_Command{Command: c})
	t.Emit(schemas.TopicDeliver, r)
	return t.Hex(r.GetId())
}

// Fact reports to analytics.
func (t *Turn) Fact(at Place, f *handoffv1.Fact) {
	f.Stage, f.At = t.stage, t.NowStamp()
	m := t.make(at)
	m.fact.Fact, m.record.Body = f, &m.fact
	t.Emit(schemas.TopicAnalytics, &m.record)
}

// SetTimer sets the key's timer of that name.
func (t *Turn) SetTimer(name string, at time.Time) { t.fx.SetTimer(name, at) }

// StopTimer stops it.
func (t *Turn) StopTimer(name string) { t.fx.StopTimer(name) }

// Call stores an outside call.
func (t *Turn) Call(c pipeline.Call) { t.fx.Call(c) }

// EndCall removes a stored call.
func (t *Turn) EndCall(id string) { t.fx.EndCall(id) }

// Seen tells whether the turn's record was seen before within the stage's window, and remembers it.
// The first stage that reads an outside record applies it.
func (t *Turn) Seen() bool { return t.state.Seen(t.id, t.At()) }

// Get reads the entry of that name into m, which is empty, and tells whether there was one. Like the
// turn's record, m is of the turn alone: its strings are the state's memory.
func (t *Turn) Get(name string, m schemas.Message) bool {
	value, ok := t.state.Get(name)
	return ok && t.Decode(name, value, m)
}

// Put writes the entry of that name. One that is there already with the same value is left alone.
func (t *Turn) Put(name string, m schemas.Message) {
	before, there := t.state.Get(name)
	n := m.SizeVT()
	value := t.memory.scratchOf(n)
	if _, err := m.MarshalToSizedBufferVT(value); err != nil {
		t.fail(fmt.Errorf("encode state %s: %w", name, err))
		return
	}
	if !there || !bytes.Equal(before, value) {
		t.state.Put(name, append(t.fx.Room(n)[:0], value...))
	}
}

// marshal encodes as schemas.Encode does, into memory of the effects.
func (t *Turn) marshal(m schemas.Message) ([]byte, error) {
	b := t.fx.Room(m.SizeVT())
	_, err := m.MarshalToSizedBufferVT(b)
	return b, err
}

// Delete removes the entry of that name.
func (t *Turn) Delete(name string) { t.state.Delete(name) }

// Any tells whether there is an entry whose name begins with prefix.
func (t *Turn) Any(prefix string) (found bool) {
	t.state.Scan(prefix, func(string, []byte) bool {
		found = true
		return false
	})
	return found
}

// Stored is an entry as it lies in the state. It is valid as long as the turn.
type Stored struct {
	Name  string
	Value []byte
}

// Stored returns every entry whose name begins with prefix, in byte order of names; Decode reads one.
func (t *Turn) Stored(prefix string) []Stored {
	m := t.memory
	from := len(m.stored)
	t.state.Scan(prefix, m.collect)
	return m.stored[from:len(m.stored):len(m.stored)]
}

// Decode reads an entry's value into m, which is empty, and tells whether it could. What m holds is of the turn alone.
func (t *Turn) Decode(name string, value []byte, m schemas.Message) bool {
	if err := m.UnmarshalVTIn(&t.memory.rooms, value); err != nil {
		t.fail(fmt.Errorf("decode state %s: %w", name, err))
		return false
	}
	return true
}

// Scan decodes every entry whose name begins with prefix into a new message and calls fn with it, in
// byte order of names, until fn returns false. fn must not write state. The message that is given only says of
// which type they are.
func Scan[T any, M interface {
	*T
	schemas.Message
}](t *Turn, prefix string, _ M, fn func(name string, m M) bool) {
	t.state.Scan(prefix, func(name string, value []byte) bool {
		m := M(new(T))
		return t.Decode(name, value, m) && fn(name, m)
	})
}

// fail makes the turn fail: its effects are undone and the record becomes a dead letter.
func (t *Turn) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// Join returns the parts one behind the other, as the name of an entry is made for every message: names share the
// memory of what the turn emits, and those that were made lately are there already. What somebody keeps for long is
// better made with +, which has memory of its own.
func (t *Turn) Join(parts ...string) string {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	known := t.memory.nameOf(n, parts)
	if !isJoined(*known, n, parts) {
		b := t.fx.Room(n)[:0]
		for _, p := range parts {
			b = append(b, p...)
		}
		*known = text(b)
	}
	return *known
}

// text is bytes of the effects' room as a string: nobody else has them, and nothing writes them again.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// keyBytes is the turn's key, one copy for all that is emitted.
func (t *Turn) keyBytes() []byte {
	if t.keyCopy == nil {
		t.keyCopy = append(t.fx.Room(len(t.inKey))[:0], t.inKey...)
	}
	return t.keyCopy
}
