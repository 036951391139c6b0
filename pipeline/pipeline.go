// Package pipeline is the contract between Handoff's stages and whatever runs them: Kafka, a
// conversation script, a simulation or a fuzzer.
//
// A stage decides and does nothing else: Process looks at one record or one due timer and at the
// state under its key, changes that state and lists effects. The runner makes state, timers, effects,
// calls and the input's offset real together, or not at all. Nothing in this package knows of Kafka
// or Pebble; pipeline/turn is what stages are written in, pipeline/kafka is the runner, pipeline/state keeps
// state, pipeline/caller makes outside calls, pipeline/script runs conversations in memory.
package pipeline

import (
	"errors"
	"time"

	"github.com/handoff-dev/handoff/schemas/settings"
)

// Stage is one step of the topology: a pure function over its key's ordered records.
type Stage interface {
	// Name of the stage; its mailbox, consumer group and changelog are named after it.
	Name() string
	// Process decides what one record or timer means. It reads no clock, does no I/O, starts no
	// goroutine and keeps nothing between calls outside st. Inputs of one key come in order, one at a
	// time; different keys may be processed at once by different goroutines.
	//
	// An error undoes everything this call did to st and fx and sends the record to dead letters,
	// unless it is ErrSettingsPending, for which the partition waits and the record comes again.
	Process(in *Input, st State, fx *Effects) error
}

// FailureHandler is implemented by a stage for which a lost record is dangerous: after Process failed
// and its effects were undone, Failed may list effects of the failure itself. They are committed with
// the dead letter. deadLetter names it: "<topic>/<partition>/<offset>" of a record, and what tells one
// failure of a timer from the next.
type FailureHandler interface {
	Failed(in *Input, deadLetter string, cause error, fx *Effects)
}

// Carrier is implemented by a stage that needs something of its state also when all of it is rebuilt,
// such as a count that others compare and that must never go back. Carry tells whether an entry is
// there before the first record is processed again.
type Carrier interface {
	Carry(name string) bool
}

// Repeater is implemented by a stage some of whose outputs may be produced again when its state is rebuilt,
// because their reader takes a second one for what it is. Repeat tells whether an output is such a one; no
// other is ever produced again.
type Repeater interface {
	Repeat(e *Emit) bool
}

// ErrSettingsPending is returned by a stage when the settings version stamped on its record has not
// been read yet. The runner retries the record; a version that does not come within the runner's
// limit makes the record a dead letter.
var ErrSettingsPending = errors.New("settings version not read yet")

// Record is one Kafka record as a stage sees it. Key and Value are valid only during Process.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
	// Time is the Kafka timestamp: when the outside event behind it was received.
	Time time.Time
}

// Timer is one timer that came due. Its name is unique under its key.
type Timer struct {
	Name string
	At   time.Time
}

// Input is what Process is called with: a record or a timer of one key.
type Input struct {
	// Key of the record or timer.
	Key []byte
	// Record, or nil for a timer.
	Record *Record
	// Timer, or nil for a record.
	Timer *Timer
	// Now is the partition's clock: the largest Time processed so far, or the wall time once the
	// partition was read to its end; never going back. For a timer it is the time it was due, so what a timer decides
	// does not depend on how late it was noticed. Millisecond precision, UTC.
	Now time.Time
	// Settings of all shops.
	Settings Settings
}

// Settings is the table of shop settings, versions of which never change.
type Settings interface {
	// At returns one version, or ErrSettingsPending when it has not been read yet.
	At(shop string, version uint64) (*settings.Shop, error)
	// Current returns the newest version and its number, or ErrSettingsPending when the shop is not
	// known.
	Current(shop string) (*settings.Shop, uint64, error)
}

// State is the keyed state of one stage under the input's key: small named entries, each one record
// in the changelog. It shows what this transaction has written so far. A failing store stops the
// runner, so no method returns an error.
type State interface {
	// Get returns the entry. The slice must not be modified and is valid until Process returns, also when the
	// entry is written meanwhile.
	Get(name string) (value []byte, ok bool)
	// Put sets the entry; it takes the slice over. Names are at most 512 bytes.
	Put(name string, value []byte)
	// Delete removes the entry; a missing one is no error.
	Delete(name string)
	// Scan calls fn for every entry whose name begins with prefix, in byte order, until fn returns
	// false. fn must not write state. Values are as Get returns them.
	Scan(prefix string, fn func(name string, value []byte) bool)
	// Seen tells whether the id was given to Seen before within the stage's window, and remembers it
	// if not. at is when the outside event was received. Ids are per partition, not per key.
	Seen(id []byte, at time.Time) bool
}

// Emit is one record to produce.
type Emit struct {
	Topic string
	Key   []byte
	Value []byte
	// Time is the record's Kafka timestamp; zero means Input.Now.
	Time time.Time
}

// TimerChange sets (At not zero) or stops (At zero) a timer of the input's key.
type TimerChange struct {
	Name string
	At   time.Time
	// UnlessSet leaves a timer of that name as it is, if one is set.
	UnlessSet bool
}

// Call is one outside call. It is stored under its key like a timer, handed to the stage's Caller
// after the commit and after every restore, until EndCall of its id is committed.
type Call struct {
	// ID is unique: the id of the command's record, hex.
	ID string
	// Destination names the connector.
	Destination string
	// Lane: calls of one lane run one at a time, in the order of their creation.
	Lane string
	// Body is opaque to the runner: the marshalled command.
	Body []byte
	// Created is the clock when it was made.
	Created time.Time
	// NotBefore delays its release; zero means at once.
	NotBefore time.Time
	// GiveUpAt ends its retries.
	GiveUpAt time.Time
	// TryFor ends them too, so long after the first of them in a process; 0: GiveUpAt alone does.
	TryFor time.Duration
	// Passes calls of its lane that wait for their NotBefore.
	Passes bool
	// Attempt and Incarnation record a committed AttemptStarted of a blind call; 0 and "" before.
	Attempt     uint32
	Incarnation string
}

// Effects collects what one Process call wants done, in order. The runner reuses it between calls.
type Effects struct {
	Emits  []Emit
	Timers []TimerChange
	// Calls to store: a new id is appended to its lane, a known id replaces the stored call in place.
	Calls []Call
	// Ended call ids.
	Ended []string
	// Memory of whatever lists the effects, to be used again after each Reset; nil until it needs some.
	Memory Memory

	room []byte // not yet handed out by Room
}

// Memory is kept with effects from one call to the next.
type Memory interface {
	// Reset says that what was handed out of it is needed no more.
	Reset()
}

// roomSize is how much memory Room asks for at once. It is a size that the runtime has four of at hand at a time: of 8 and
// of 16 KiB it has one.
const roomSize = 10 << 10

// Room returns n bytes to write a value into: an emit's, an entry's. Many values share one allocation.
func (e *Effects) Room(n int) []byte {
	if n > len(e.room) {
		if n > roomSize/4 {
			return make([]byte, n)
		}
		e.room = make([]byte, roomSize)
	}
	b := e.room[:n:n]
	e.room = e.room[n:]
	return b
}

// Emit produces a record to a topic, under any key. Key and value are taken over.
func (e *Effects) Emit(topic string, key, value []byte) {
	e.Emits = append(e.Emits, Emit{Topic: topic, Key: key, Value: value})
}

// SetTimer sets the input key's timer of that name, replacing an earlier one. It is due at the first
// millisecond that is not before at, so a stage never sees it early.
func (e *Effects) SetTimer(name string, at time.Time) {
	due := at.Truncate(time.Millisecond)
	if due.Before(at) {
		due = due.Add(time.Millisecond)
	}
	e.Timers = append(e.Timers, TimerChange{Name: name, At: due})
}

// StopTimer stops the input key's timer of that name; a missing one is no error.
func (e *Effects) StopTimer(name string) {
	e.Timers = append(e.Timers, TimerChange{Name: name})
}

// Call stores an outside call, or replaces the stored one of the same id.
func (e *Effects) Call(c Call) { e.Calls = append(e.Calls, c) }

// EndCall removes a stored call; a missing one is no error.
func (e *Effects) EndCall(id string) { e.Ended = append(e.Ended, id) }

// Reset empties e and keeps its memory.
func (e *Effects) Reset() {
	clear(e.Emits)
	clear(e.Calls)
	e.Emits, e.Timers, e.Calls, e.Ended = e.Emits[:0], e.Timers[:0], e.Calls[:0], e.Ended[:0]
	if e.Memory != nil {
		e.Memory.Reset()
	}
}
