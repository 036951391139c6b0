package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// Kinds are the first byte of changelog keys, and of keys in a backing. A backing has entries, timers
// and calls of one record key beside each other, under kindOwner.
const (
	kindEntry = 'e' // | key length | key | name -> value
	kindTimer = 't' // | key length | key | name -> due, 8 bytes
	kindCall  = 'c' // | key length | key | id -> call; in a backing an index, -> nothing
	kindSeen  = 's' // | bucket, 8 bytes | chunk, 8 bytes -> ids
	kindPos   = 'p' // -> position
	kindReset = 'z' // -> anything: what came before in the changelog is void
	// Local to a backing, never in the changelog.
	kindOwner = 'k' // | key length | key | kind | name -> value
	kindDue   = 'd' // | due, 8 bytes | key length | key | name -> nothing: timers in the order they fire
	kindSaved = 'w' // -> where to go on reading the changelog
	kindRun   = 'r' // | bucket | run | first id -> sorted ids
	kindIndex = 'x' // | bucket -> how far chunks are in runs
)

// ErrFormat is wrapped by errors about changelog records or stored values that cannot be read.
var ErrFormat = errors.New("bad state record")

// keyRoom is at most what a changelog key has beside key and name.
const keyRoom = 1 + binary.MaxVarintLen32

// appendKey appends a changelog key: kind, key length, key and name.
func appendKey[K, N ~string | ~[]byte](dst []byte, kind byte, key K, name N) []byte {
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	return append(dst, name...)
}

// appendOwner appends what all a record key's entries in a backing begin with.
func appendOwner(dst, key []byte) []byte { return appendKey(dst, kindOwner, key, "") }

// appendLocal appends an entry's key in a backing.
func appendLocal[N ~string | ~[]byte](dst []byte, kind byte, key []byte, name N) []byte {
	dst = append(appendOwner(dst, key), kind)
	return append(dst, name...)
}

// appendDue appends a timer's place in the order of firing.
func appendDue(dst []byte, at int64, key, name []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, kindDue), uint64(at))
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	return append(dst, name...)
}

// appendCallIndex appends a call's key in the index of calls.
func appendCallIndex(dst, key, id []byte) []byte { return appendKey(dst, kindCall, key, id) }

// splitKey reads what appendKey wrote after the kind; its name is a copy.
func splitKey(b []byte) (key []byte, name string, err error) {
	key, rest, err := cutKey(b)
	return key, string(rest), err
}

// cutKey reads what appendKey wrote after the kind, in place.
func cutKey(b []byte) (key, name []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, fmt.Errorf("%w: key %q", ErrFormat, b)
	}
	b = b[size:]
	return b[:n:n], b[n:], nil
}

// slab is memory for keys that live as long as a transaction.
type slab struct {
	chunks [][]byte
	used   int // chunks before the last one in use
}

const slabBytes = 64 << 10

// key returns a changelog key in the slab's memory.
func (s *slab) key(kind byte, key []byte, name string) []byte {
	room := keyRoom + len(key) + len(name)
	for {
		if s.used == len(s.chunks) {
			s.chunks = append(s.chunks, make([]byte, 0, max(slabBytes, room)))
		}
		c := s.chunks[s.used]
		if cap(c)-len(c) < room {
			s.used++
			continue
		}
		s.chunks[s.used] = appendKey(c, kind, key, name)
		k := s.chunks[s.used][len(c):]
		return k[:len(k):len(k)]
	}
}

// reset takes all memory back.
func (s *slab) reset() {
	for i := range s.chunks {
		s.chunks[i] = s.chunks[i][:0]
	}
	s.used = 0
}

// Position is where a partition's state stands: the last record of every transaction's changelog.
type Position struct {
	// Offset of the mailbox to read next.
	Offset int64
	// Number of the partition's last transaction, from 1; also in the offset commit's metadata. It
	// tells transactions without records apart.
	Number uint64
	// Clock of the partition, Unix milliseconds.
	Clock int64
	// Calls made so far; the next one's sequence number.
	Calls uint64
	// Schema version of the entries.
	Schema uint32
	// Partitions of the mailbox.
	Partitions int32
	// Life is the number of the first transaction after the state was reset last; 0 before any reset.
	// Local state of another life is not gone on from.
	Life uint64
}

// Formats of positions; the first is without Life, and is written as long as there was no reset.
const (
	positionFormat     = 1
	positionFormatLife = 2
)

// PositionKey is the changelog key of positions.
func PositionKey() []byte { return []byte{kindPos} }

// ResetKey is the changelog key of the record that makes everything before it void. Compaction keeps
// the last one, at its offset, and whatever it keeps of what came before is read before it; so the
// state after it never depends on what was removed.
func ResetKey() []byte { return []byte{kindReset} }

// Encode returns the position as changelog value.
func (p Position) Encode() []byte {
	b := []byte{positionFormat}
	if p.Life > 0 {
		b[0] = positionFormatLife
	}
	b = binary.AppendVarint(b, p.Offset)
	b = binary.AppendUvarint(b, p.Number)
	b = binary.AppendVarint(b, p.Clock)
	b = binary.AppendUvarint(b, p.Calls)
	b = binary.AppendUvarint(b, uint64(p.Schema))
	b = binary.AppendUvarint(b, uint64(p.Partitions))
	if p.Life > 0 {
		b = binary.AppendUvarint(b, p.Life)
	}
	return b
}

// DecodePosition reads what Encode wrote.
func DecodePosition(b []byte) (Position, error) {
	if len(b) == 0 || b[0] != positionFormat && b[0] != positionFormatLife {
		return Position{}, fmt.Errorf("%w: position of an unknown format; a newer Handoff wrote it", ErrFormat)
	}
	r := reader{b: b[1:]}
	p := Position{Offset: r.varint(), Number: r.uvarint(), Clock: r.varint(), Calls: r.uvarint(),
		Schema: uint32(r.uvarint()), Partitions: int32(r.uvarint())}
	if b[0] == positionFormatLife {
		p.Life = r.uvarint()
		r.bad = r.bad || p.Life == 0
	}
	if r.bad || len(r.b) > 0 {
		return Position{}, fmt.Errorf("%w: position", ErrFormat)
	}
	return p, nil
}

// reader takes values off a byte string; bad once something was missing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if r.bad || n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// time reads what appendTime wrote.
func (r *reader) time() time.Time {
	ms := r.varint()
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// appendTime appends milliseconds; 0 stands for no time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendVarint(b, t.UnixMilli())
}

func appendBytes[T ~string | ~[]byte](b []byte, v T) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// Formats of calls: most need no more than the first; callMore has the time for which it is tried, and whether it
// passes others, behind the rest.
const (
	callFormat = 1
	callMore   = 2
)

// encodeCall returns a pending call as entry value; seq is its place in the order of creation.
func encodeCall(seq uint64, c *pipeline.Call) []byte {
	b := make([]byte, 0, 64+len(c.ID)+len(c.Destination)+len(c.Lane)+len(c.Body)+len(c.Incarnation))
	format := byte(callFormat)
	if c.TryFor > 0 || c.Passes {
		format = callMore
	}
	b = append(b, format)
	b = binary.AppendUvarint(b, seq)
	b = appendBytes(b, c.ID)
	b = appendBytes(b, c.Destination)
	b = appendBytes(b, c.Lane)
	b = appendBytes(b, c.Body)
	b = appendTime(b, c.Created)
	b = appendTime(b, c.NotBefore)
	b = appendTime(b, c.GiveUpAt)
	b = binary.AppendUvarint(b, uint64(c.Attempt))
	b = appendBytes(b, c.Incarnation)
	if format == callMore {
		b = binary.AppendUvarint(b, uint64(c.TryFor.Milliseconds()))
		passes := byte(0)
		if c.Passes {
			passes = 1
		}
		b = append(b, passes)
	}
	return b
}

// decodeCall reads what encodeCall wrote. The call shares no memory with b.
func decodeCall(b []byte) (seq uint64, c pipeline.Call, err error) {
	if len(b) == 0 || b[0] != callFormat && b[0] != callMore {
		return 0, c, fmt.Errorf("%w: call of an unknown format; a newer Handoff wrote it", ErrFormat)
	}
	r := reader{b: b[1:]}
	seq = r.uvarint()
	c = pipeline.Call{ID: string(r.bytes()), Destination: string(r.bytes()), Lane: string(r.bytes()),
		Body: append([]byte(nil), r.bytes()...), Created: r.time(), NotBefore: r.time(), GiveUpAt: r.time(),
		Attempt: uint32(r.uvarint()), Incarnation: string(r.bytes())}
	if b[0] == callMore {
		c.TryFor, c.Passes = time.Duration(r.uvarint())*time.Millisecond, r.uvarint() == 1
	}
	if r.bad || len(r.b) > 0 {
		return 0, c, fmt.Errorf("%w: call", ErrFormat)
	}
	return seq, c, nil
}
