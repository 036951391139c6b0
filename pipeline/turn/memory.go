package turn

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// memory is what turns are made of and what they make. It belongs to the effects that turns list, and is used
// again once those are reset: by then a record that was made is encoded, or read by whoever it was handed to.
type memory struct {
	turns room[opened, *opened]
	made  room[made, *made]
}

// opened is a turn, and the record that it decodes.
type opened struct {
	turn   Turn
	record handoffv1.Record
	now    timestamppb.Timestamp
}

// clear leaves the turn, which is written whole when it is opened.
func (o *opened) clear() {
	o.record.Reset()
	o.now.Reset()
}

// made is a record that a turn makes, with what every such record or every fact has.
type made struct {
	record handoffv1.Record
	fact   handoffv1.Record_Fact
	id     [schemas.IDSize]byte
}

func (m *made) clear() {
	m.record.Reset()
	m.fact.Fact = nil
}

// memoryOf is the memory that comes with effects.
func memoryOf(fx *pipeline.Effects) *memory {
	if m, ok := fx.Memory.(*memory); ok {
		return m
	}
	m := &memory{}
	fx.Memory = m
	return m
}

// Reset implements pipeline.Memory.
func (m *memory) Reset() {
	m.turns.reset()
	m.made.reset()
}

// mostKept is how many values of a kind are kept: a turn makes more only by way of exception.
const mostKept = 64

// room hands out values, and after a reset the same ones again, cleared.
type room[T any, P interface {
	*T
	clear()
}] struct {
	all  []P
	used int
}

func (r *room[T, P]) next() P {
	if r.used == len(r.all) {
		v := P(new(T))
		if len(r.all) == mostKept {
			return v
		}
		r.all = append(r.all, v)
	}
	r.used++
	return r.all[r.used-1]
}

func (r *room[T, P]) reset() {
	for _, v := range r.all[:r.used] {
		v.clear()
	}
	r.used = 0
}
