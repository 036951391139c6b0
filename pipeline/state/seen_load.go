package state

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// load begins from what the backing has. Chunks that do not fit memory, after a restore from the
// changelog, become runs in the backing at once.
func (s *seen) load(back Backing, cfg *Config) error {
	*s = newSeen(back, cfg)
	err := s.loadRuns()
	if err == nil {
		err = s.loadChunks()
	}
	if err != nil {
		return fmt.Errorf("read seen ids: %w", err)
	}
	s.line()
	return nil
}

func (s *seen) loadRuns() error {
	var bad error
	err := s.back.Scan([]byte{kindIndex}, []byte{kindIndex + 1}, func(k, v []byte) bool {
		switch len(k) {
		case 1 + 8:
			b := s.bucket(int64(binary.BigEndian.Uint64(k[1:])))
			if bad = b.loadIndex(v); bad == nil {
				b.addPart(max(b.count, 1)).room = 0
				b.parts[0].runs, b.fed = slices.Clone(b.runs), 1
			}
		case 1 + 8 + 8:
			b := s.bucket(int64(binary.BigEndian.Uint64(k[1:])))
			bad = b.loadHead(binary.BigEndian.Uint64(k[9:]), v)
		default:
			bad = fmt.Errorf("%w: key %q", ErrFormat, k)
		}
		return bad == nil
	})
	if err := cmp.Or(err, bad); err != nil {
		return err
	}
	for _, b := range s.buckets {
		for _, r := range b.runs {
			if r.filter == nil {
				if err := b.loadBlocks(s.back, r); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *seen) loadChunks() error {
	for lower := []byte{kindSeen}; lower != nil; {
		var bad error
		from := lower
		lower = nil
		err := s.back.Scan(from, []byte{kindSeen + 1}, func(k, v []byte) bool {
			start, number, err := chunkNumbers(k[1:])
			if err == nil {
				err = s.bucket(start).loadChunk(number, v)
			}
			if bad = err; bad != nil {
				return false
			}
			if s.last.recent.n >= runIDs || s.crowded() {
				lower = append(slices.Clone(k), 0) // the next key
			}
			return lower == nil
		})
		if err := cmp.Or(err, bad); err != nil {
			return err
		}
		if lower == nil {
			continue
		}
		batch := s.back.Batch()
		s.spillMost(batch)
		if err := batch.Apply(); err != nil {
			return err
		}
	}
	return nil
}

// loadChunk adds a stored chunk; chunks come in order.
func (b *bucket) loadChunk(number uint64, ids []byte) error {
	if len(ids)%idBytes != 0 {
		return fmt.Errorf("%w: chunk of seen ids", ErrFormat)
	}
	b.kept, b.open = true, number >= b.next
	if b.open { // below it are chunks whose successors are in runs: they take no more ids
		b.next, b.from = number+1, b.recent.n
	}
	for c := range slices.Chunk(ids, idBytes) {
		x := id(c)
		b.add(&x, placeOf(x.hash()))
	}
	b.sealed = b.recent.n
	return nil
}
