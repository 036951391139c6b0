// Package reuse hands out values whose memory is used again: what a record is decoded into, and what is made of
// it, is needed until its effects are taken over, and then by nobody.
package reuse

import "unsafe"

// Rooms are values of any types. They belong to one goroutine. A nil *Rooms hands out values of their own, which
// whoever asked for them may keep.
type Rooms struct {
	// table of *room[T] by T, found by hash; a type that finds no place there is not reused.
	table [tableSize]any
	used  []interface{ reset() } // of the table, those that handed out something since the last reset
}

const (
	// tableSize is a power of two: a stage decodes and makes values of some twenty types.
	tableSize = 128
	// mostTried is how many places of the table a type may have.
	mostTried = 8
	// mostKept is how many values of a type are kept, a power of two: one record asks for more only by way of exception.
	mostKept = 64
)

// New returns v in the rooms' memory, until the next Reset.
func New[T any](r *Rooms, v T) *T {
	p := Zero[T](r)
	*p = v
	return p
}

// Zero is New of a zero value.
func Zero[T any](r *Rooms) *T {
	if r == nil {
		return new(T)
	}
	for try, at := 0, hashOf[T](); try < mostTried; try, at = try+1, at+1 {
		switch of := r.table[at%tableSize].(type) {
		case *room[T]:
			if of.n == 0 {
				r.used = append(r.used, of)
			}
			return of.next()
		case nil:
			fresh := &room[T]{}
			r.table[at%tableSize] = fresh
			r.used = append(r.used, fresh)
			return fresh.next()
		}
	}
	return new(T)
}

// hashOf is a number of a type, evenly spread: its descriptor's address, which never changes while a program runs.
func hashOf[T any]() uint {
	pointer := any((*T)(nil))
	const golden = 0x9e3779b97f4a7c15
	return uint(uint64(*(*uintptr)(unsafe.Pointer(&pointer))) * golden >> 57)
}

// Reset takes back all that was handed out: nobody may use it any more.
func (r *Rooms) Reset() {
	for _, of := range r.used {
		of.reset()
	}
	r.used = r.used[:0]
}

// room hands out zero values of one type, and after a reset the same ones again. They stand side by side, so that one
// sweep takes all back. Where they are too few, twice as many take their place: those who have the others keep them.
type room[T any] struct {
	all []T
	n   int // of all, handed out
}

func (r *room[T]) next() *T {
	if r.n == len(r.all) {
		if r.n == mostKept {
			return new(T)
		}
		r.all, r.n = make([]T, max(1, 2*r.n)), 0
	}
	r.n++
	return &r.all[r.n-1]
}

func (r *room[T]) reset() {
	clear(r.all[:r.n])
	r.n = 0
}
