package turn

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Contract is what a stage says about itself to tools that draw the topology or print state. Tests hold
// it against what the stage does in every conversation script.
type Contract struct {
	// Reads are the kinds of record it takes from its mailbox, as BodyName names them.
	Reads []string
	// Posts is what it produces, one for each topic. Dead letters and the changelog are the runner's.
	Posts []Post
	// Keeps are its state entries.
	Keeps []Entry
}

// Post is what is produced to one topic.
type Post struct {
	Topic string
	// Bodies are the kinds of record, as BodyName names them.
	Bodies []string
}

// Entry is one kind of state entry under a key.
type Entry struct {
	// Name of the entry; one that ends in "/" is what the names of many begin with.
	Name string
	// Empty is a message of the type that its values are encoded as.
	Empty proto.Message
}

// Decode returns a state entry's value as a new message. Values of another type, or with fields that
// are not known, are errors.
func (c Contract) Decode(name string, value []byte) (proto.Message, error) {
	e, ok := c.entry(name)
	if !ok {
		return nil, fmt.Errorf("state entry %q is of no kind that is known; a newer Handoff wrote it", name)
	}
	m := e.Empty.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(value, m); err != nil {
		return nil, fmt.Errorf("decode state entry %q as %s: %w", name, m.ProtoReflect().Descriptor().FullName(), err)
	}
	if n := len(m.ProtoReflect().GetUnknown()); n > 0 {
		return nil, fmt.Errorf("state entry %q has %d bytes that %s does not know; a newer Handoff wrote it", name, n, m.ProtoReflect().Descriptor().FullName())
	}
	return m, nil
}

func (c Contract) entry(name string) (Entry, bool) {
	for _, e := range c.Keeps {
		if name == e.Name || strings.HasSuffix(e.Name, "/") && strings.HasPrefix(name, e.Name) {
			return e, true
		}
	}
	return Entry{}, false
}

// BodyName names a record's kind, e.g. "customer_message"; "" when it has no body.
func BodyName(r *handoffv1.Record) string {
	m := r.ProtoReflect()
	if f := m.WhichOneof(m.Descriptor().Oneofs().ByName("body")); f != nil {
		return string(f.Name())
	}
	return ""
}
