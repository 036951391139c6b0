package state

// bucket is the ids received within one span of time.
type bucket struct {
	start    int64
	count    int // of ids
	expected int // of ids, as many as the bucket before it had
	recent   recent
	parts    []*part
	runs     []*run
	nextRun  uint64 // number of the next run
	fed      int    // parts below it took no id since the last run
	kept     bool   // something of it is in the backing

	// Chunks are numbered from 0. The last one takes more ids while it has few.
	next    uint64 // number of the next one
	inRuns  uint64 // those below it are in runs
	dropped uint64 // those below it are deleted from the changelog
	open    bool   // the last one is in memory
	from    int    // where in recent it begins
	sealed  int    // ids of recent below it are in chunks
	unsaved []chunk
}

// chunk is the ids of recent from one to another.
type chunk struct {
	number   uint64
	from, to int
}

// part is a filter over some of a bucket's ids, in the order in which they came: a bucket of unknown
// size gets larger and larger ones.
type part struct {
	in    *bucket
	front wordFilter
	room  int
	from  int    // where in recent its ids begin, while none of them is in a run
	runs  []*run // that have ids of the part
}

const (
	// chunkIDs is how many ids a chunk holds before the next one begins. Rewriting a small one costs
	// less than a record, and a deletion, for every id.
	chunkIDs = 16
	minPart  = 256
	maxPart  = 1 << 20 // ids; of a part whose size is guessed from the bucket before
)

// has tells exactly whether the id is in memory or in a run of the part; the filters only spare looking
// for most that are not.
func (p *part) has(back Backing, x *id, hash uint32) (bool, error) {
	if p.in.recent.has(x) {
		return true, nil
	}
	for _, r := range p.runs {
		if !r.filter.may(hash) {
			continue
		}
		if known, err := r.has(back, p.in, x); known || err != nil {
			return known, err
		}
	}
	return false, nil
}

// add remembers an id that is not known. It tells whether filters were replaced or added.
func (b *bucket) add(x *id, front wordPlace) (changed bool) {
	if len(b.parts) == 0 || b.parts[len(b.parts)-1].room == 0 {
		b.widen()
		changed = true
	}
	p := b.parts[len(b.parts)-1]
	p.front.add(front)
	p.room--
	b.recent.add(x)
	b.count++
	return changed
}

// removeLast undoes the last add; its bits stay in the filter.
func (b *bucket) removeLast() {
	b.recent.removeLast()
	b.count--
	for _, p := range b.parts {
		p.from = min(p.from, b.recent.n)
	}
}

// widen makes room in the filters: a larger one instead of the last if its ids are all in memory,
// another one if not.
func (b *bucket) widen() {
	if n := len(b.parts); n > 0 && len(b.parts[n-1].runs) == 0 {
		p := b.parts[n-1]
		ids := b.recent.n - p.from
		p.front = newWordFilter(max(2*ids, minPart))
		for i := p.from; i < b.recent.n; i++ {
			p.front.add(placeOf(b.recent.at(i).hash()))
		}
		p.room = p.front.room() - ids
		return
	}
	guess := min(b.expected+b.expected/8-b.count, maxPart)
	if guess <= 0 {
		guess = b.count / 2
	}
	b.addPart(max(guess, minPart))
}

func (b *bucket) addPart(ids int) *part {
	p := &part{in: b, front: newWordFilter(ids), from: b.recent.n}
	p.room = p.front.room()
	b.parts = append(b.parts, p)
	return p
}

// seal makes chunks of the ids that came since the last time.
func (b *bucket) seal(changelog func(key, value []byte)) {
	r := &b.recent
	for b.sealed < r.n {
		if !b.open || b.sealed-b.from >= chunkIDs || b.sealed >= r.slabEnd(b.from) {
			b.from, b.open = b.sealed, true
			b.next++
		}
		number := b.next - 1
		b.sealed = min(r.n, r.slabEnd(b.from))
		changelog(chunkKey(b.start, number), r.span(b.from, b.sealed))
		if n := len(b.unsaved); n > 0 && b.unsaved[n-1].number == number {
			b.unsaved = b.unsaved[:n-1]
		}
		b.unsaved = append(b.unsaved, chunk{number, b.from, b.sealed})
	}
}

// save writes the chunks that changed.
func (b *bucket) save(batch Batch) {
	for _, c := range b.unsaved {
		batch.Set(chunkKey(b.start, c.number), b.recent.span(c.from, c.to))
		b.kept = true
	}
	b.unsaved = b.unsaved[:0]
}

func (b *bucket) bytes() int {
	n := b.recent.bytes()
	for _, p := range b.parts {
		n += 8 * len(p.front)
	}
	for _, r := range b.runs {
		n += 64*len(r.filter) + idBytes*len(r.firsts)
	}
	return n
}
