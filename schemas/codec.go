package schemas

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/reuse"
)

// ErrRecord is wrapped by every error about a record that cannot be decoded.
var ErrRecord = errors.New("bad record")

// Message is a generated message with generated codecs. They know of no reflection: a record is decoded
// and encoded in every stage that it passes.
type Message interface {
	proto.Message
	SizeVT() int
	MarshalVT() ([]byte, error)
	MarshalToSizedBufferVT(b []byte) (int, error)
	UnmarshalVTUnsafe(b []byte) error
	// UnmarshalVTIn is UnmarshalVTUnsafe where the messages that this one holds lie in rooms: they are valid until
	// those are reset.
	UnmarshalVTIn(in *reuse.Rooms, b []byte) error
}

// Unmarshal decodes into an empty message; a string that is not UTF-8 is an error. Strings of the message are b's
// bytes, which must not change, nor be small parts of something large, as long as one of them is used: clone b then.
func Unmarshal(b []byte, m Message) error { return m.UnmarshalVTUnsafe(b) }

// Decode reads a record and checks what every stage relies on: an id, the key it is filed under, a
// received_at, and a body. key is the Kafka key it came with. Like Unmarshal it does not copy value.
func Decode(key, value []byte) (*handoffv1.Record, error) {
	r := &handoffv1.Record{}
	if err := DecodeInto(r, key, value, nil); err != nil {
		return nil, err
	}
	return r, nil
}

// DecodeInto is Decode into an empty record; the messages that it holds lie in rooms, where they are not nil.
func DecodeInto(r *handoffv1.Record, key, value []byte, in *reuse.Rooms) error {
	if err := r.UnmarshalVTIn(in, value); err != nil {
		return fmt.Errorf("%w: not a handoff.v1.Record: %w", ErrRecord, err)
	}
	switch {
	case len(r.GetId()) != IDSize:
		return fmt.Errorf("%w: id has %d bytes, want %d", ErrRecord, len(r.GetId()), IDSize)
	case !KeyOf(r).is(key):
		return fmt.Errorf("%w: filed under a key that is not that of its shop and address", ErrRecord) // which are not for logs
	case r.GetReceivedAt() == nil:
		return fmt.Errorf("%w: no received_at", ErrRecord)
	case r.GetBody() == nil:
		return fmt.Errorf("%w: no body, or one of a newer version", ErrRecord)
	}
	return nil
}

// Encode encodes a record that a stage made: a replay makes the same bytes. It does not look whether strings are
// UTF-8: Unmarshal does, and what was decoded or checked at the edge is.
func Encode(r *handoffv1.Record) ([]byte, error) {
	b, err := r.MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encode record %s: %w", HexID(r.GetId()), err)
	}
	return b, nil
}

// EncodeOutside encodes a record made of what somebody outside said, to the same bytes as Encode. A string
// that is not UTF-8 is an error.
func EncodeOutside(r *handoffv1.Record) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode record %s: %w", HexID(r.GetId()), err)
	}
	return b, nil
}
