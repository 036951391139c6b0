package schemas

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// IDSize is the length of a record id in bytes.
const IDSize = 16

// derive appends a hash of parts, each preceded by its length so that no two lists of parts are alike.
func derive(dst, parts []byte) []byte {
	sum := sha256.Sum256(parts)
	return append(dst, sum[:IDSize]...)
}

// part appends one part of what an id is derived from.
func part[T ~string | ~[]byte](to []byte, p T) []byte {
	return append(binary.BigEndian.AppendUint32(to, uint32(len(p))), p...)
}

// number appends a part that is a number.
func number(to []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(to, 8), n)
}

// partsSize is memory for the parts of most ids.
const partsSize = 192

// SourceID is the id of a record at entry: the same outside event, delivered again, has the same.
// source is the connector, nativeID the provider's id of the event.
func SourceID(source, shop, account, nativeID string) []byte {
	var room [partsSize]byte
	return derive(make([]byte, 0, IDSize), part(part(part(part(append(room[:0], 's'), source), shop), account), nativeID))
}

// EffectID is the id of the ordinal-th record (from 0) that a stage makes of an input.
func EffectID(input []byte, stage string, ordinal int) []byte {
	// Small enough to be inlined: whoever copies the id pays for no memory.
	return appendEffectID(make([]byte, 0, IDSize), input, stage, ordinal)
}

func appendEffectID(dst, input []byte, stage string, ordinal int) []byte {
	var room [partsSize]byte
	return derive(dst, number(part(part(append(room[:0], 'e'), input), stage), uint64(ordinal)))
}

// TimerID is the id of a timer that came due: what its effects are derived from.
func TimerID(key []byte, stage, timer string, due time.Time) []byte {
	var room [partsSize]byte
	return derive(make([]byte, 0, IDSize), number(part(part(part(append(room[:0], 't'), key), stage), timer), uint64(due.UnixMilli())))
}

// HexID returns an id as text: how calls and messages are named outside records.
func HexID(id []byte) string {
	var room [2 * IDSize]byte
	return string(hex.AppendEncode(room[:0], id))
}
