package caller

// queue are lanes in the order in which they came. A lane that was taken out by way of another queue stays behind as an
// entry of a turn that is over, which is passed over when it is met.
type queue []entry

// entry is a lane in one of its turns.
type entry struct {
	l    *lane
	turn uint32
}

// waits tells whether the lane still waits in that turn.
func (e entry) waits() bool { return e.l.queued && e.l.turn == e.turn }

// push appends a lane. Of queued lanes that wait in all, no more entries than twice as many are kept.
func (q *queue) push(l *lane, queued int) {
	if len(*q) >= 2*queued+leastEntries {
		kept := make(queue, 0, queued+leastEntries)
		for _, e := range *q {
			if e.waits() {
				kept = append(kept, e)
			}
		}
		*q = kept
	}
	*q = append(*q, entry{l, l.turn})
}

// leastEntries is from when a queue is looked through for turns that are over.
const leastEntries = 32

// pop takes the first lane out that waits; nil for none.
func (q *queue) pop() *lane {
	for len(*q) > 0 {
		e := (*q)[0]
		(*q)[0] = entry{}
		*q = (*q)[1:]
		if e.waits() {
			return e.l
		}
	}
	*q = nil
	return nil
}

// turns are lanes that wait for their turn: all, and again those that deliver is still to be told of, and those whose
// head is tried for a while only. The latter are looked after while none of the account may start, and there may be tens
// of thousands of others then.
type turns struct{ all, untold, brief queue }

// turnsOf are those that a lane waits in.
func (a *account) turnsOf(l *lane) *turns {
	if l.soon {
		return &a.soon
	}
	return &a.ready
}

// enqueue has a lane wait for its turn.
func (a *account) enqueue(l *lane) {
	if l.queued {
		return
	}
	l.queued, l.soon, l.untold, l.brief = true, l.urgent(), false, false
	l.turn++
	a.queued++
	a.turnsOf(l).all.push(l, a.queued)
	a.note(l)
}

// note lists a lane that waits where it is looked for now: what is known of it, or its head, may be another than when it
// came.
func (a *account) note(l *lane) {
	if !l.queued {
		return
	}
	of := a.turnsOf(l)
	if a.tells && !l.told && !l.untold {
		l.untold = true
		of.untold.push(l, a.queued)
	}
	if l.isBrief() && !l.brief {
		l.brief = true
		of.brief.push(l, a.queued)
	}
}

// next takes the lane whose turn it is; nil for none.
func (a *account) next() *lane {
	return a.take(func(of *turns) *queue { return &of.all }, func(*lane) bool { return true })
}

// nextUntold takes the first lane that deliver is to be told of; nil for none.
func (a *account) nextUntold() *lane {
	return a.take(func(of *turns) *queue { return &of.untold }, func(l *lane) bool {
		l.untold = false
		return !l.told
	})
}

// nextBrief takes the first lane whose head is tried for a while only; nil for none.
func (a *account) nextBrief() *lane {
	return a.take(func(of *turns) *queue { return &of.brief }, func(l *lane) bool {
		l.brief = false
		return l.isBrief()
	})
}

// take takes the first lane of a queue that may start and is what is looked for.
func (a *account) take(from func(*turns) *queue, is func(*lane) bool) *lane {
	for _, of := range []*turns{&a.soon, &a.ready} {
		q := from(of)
		for l := q.pop(); l != nil; l = q.pop() {
			if !is(l) {
				continue
			}
			l.queued = false
			a.queued--
			if !l.p.revoked && !l.running && !l.empty() {
				return l
			}
		}
	}
	return nil
}

// isBrief tells whether the lane's head is tried for a while only. Such a lane holds its calls: see spill.
func (l *lane) isBrief() bool {
	head := l.head()
	return head != nil && head.pc.Call.TryFor > 0
}
