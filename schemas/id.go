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
func derive(dst []byte, kind byte, parts ...string) []byte {
	var room [256]byte
	all := append(room[:0], kind)
	for _, p := range parts {
		all = binary.BigEndian.AppendUint32(all, uint32(len(p)))
		all = append(all, p...)
	}
	sum := sha256.Sum256(all)
	return append(dst, sum[:IDSize]...)
}

// SourceID is the id of a record at entry: the same outside event, delivered again, has the same.
// source is the connector, nativeID the provider's id of the event.
func SourceID(source, shop, account, nativeID string) []byte {
	return derive(make([]byte, 0, IDSize), 's', source, shop, account, nativeID)
}

// EffectID is the id of the ordinal-th record (from 0) that a stage makes of an input.
func EffectID(input []byte, stage string, ordinal int) []byte {
	// Small enough to be inlined: whoever copies the id pays for no memory.
	return appendEffectID(make([]byte, 0, IDSize), input, stage, ordinal)
}

func appendEffectID(dst, input []byte, stage string, ordinal int) []byte {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(ordinal))
	return derive(dst, 'e', string(input), stage, string(n[:]))
}

// TimerID is the id of a timer that came due: what its effects are derived from.
func TimerID(key []byte, stage, timer string, due time.Time) []byte {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(due.UnixMilli()))
	return derive(make([]byte, 0, IDSize), 't', string(key), stage, timer, string(n[:]))
}

// HexID returns an id as text: how calls and messages are named outside records.
func HexID(id []byte) string {
	var room [2 * IDSize]byte
	return string(hex.AppendEncode(room[:0], id))
}
