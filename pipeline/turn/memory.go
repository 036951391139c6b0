package turn

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/reuse"
)

// memory is what turns are made of and what they make. It belongs to the effects that turns list, and is used
// again once those are reset: by then a record that was made is encoded, or read by whoever it was handed to.
type memory struct {
	rooms  reuse.Rooms
	stored []Stored
	// scratch holds a value until it is known to be another than the one that is there.
	scratch []byte
	// names are what Join made last: entries of an account's conversations have the same names, whoever writes to it.
	names [mostNames]string
	// collect appends to stored. It is made once: a function that is handed to a state costs an allocation.
	collect func(name string, value []byte) bool
}

// opened is a turn, and the record that it decodes.
type opened struct {
	turn   Turn
	record handoffv1.Record
	now    timestamppb.Timestamp
}

// made is a record that a turn makes, with what every such record or every fact has.
type made struct {
	record handoffv1.Record
	fact   handoffv1.Record_Fact
	id     [schemas.IDSize]byte
}

// New returns v in memory of the turn: it is used again once the turn's effects are reset, so nothing of it may be
// kept when On returns. What stages make for every message is made so; what they seldom make can as well be made
// without.
func New[T any](t *Turn, v T) *T {
	p := reuse.Zero[T](&t.memory.rooms) // and not reuse.New: so small, this is inlined and v is made where it stays
	*p = v
	return p
}

// Zero is New of a zero value.
func Zero[T any](t *Turn) *T { return reuse.Zero[T](&t.memory.rooms) }

// memoryOf is the memory that comes with effects.
func memoryOf(fx *pipeline.Effects) *memory {
	if m, ok := fx.Memory.(*memory); ok {
		return m
	}
	m := &memory{}
	m.collect = func(name string, value []byte) bool {
		m.stored = append(m.stored, Stored{Name: name, Value: value})
		return true
	}
	fx.Memory = m
	return m
}

// mostNames is how many names are remembered, a power of two: a stage reads and writes some five of every conversation.
const mostNames = 32

// nameOf is where what parts make, n bytes, is remembered; another name that was there gives way.
func (m *memory) nameOf(n int, parts []string) *string {
	return &m.names[uint(7*n+len(parts))%mostNames]
}

// isJoined tells whether a name is what parts make, which are n bytes.
func isJoined(name string, n int, parts []string) bool {
	if len(name) != n {
		return false
	}
	for _, p := range parts {
		if name[:len(p)] != p {
			return false
		}
		name = name[len(p):]
	}
	return true
}

// scratchOf is n bytes, for as long as nobody asks for others.
func (m *memory) scratchOf(n int) []byte {
	if n > cap(m.scratch) {
		m.scratch = make([]byte, n, max(2*n, 1<<10))
	}
	return m.scratch[:n]
}

// Reset implements pipeline.Memory.
func (m *memory) Reset() {
	m.rooms.Reset()
	clear(m.stored)
	m.stored = m.stored[:0]
}
