package deliver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Names of entries under a key; see deliver.proto.
const (
	callPrefix    = "call/"
	splitPrefix   = "text/"
	consentPrefix = "consent/"
	holdPrefix    = "hold/"
	shutPrefix    = "shut/"
	ticketPrefix  = "ticket/"
	sentPrefix    = "sent/"
)

// ticketName orders a conversation's tickets by episode.
func ticketName(conversation string, episode uint64) string {
	return fmt.Sprintf("%s%s/%016x", ticketPrefix, conversation, episode)
}

// entries is what the gate reads: the turn's state, or committed state.
type entries interface {
	// get reads the entry into m and tells whether there was one.
	get(name string, m schemas.Message) (bool, error)
	// any tells whether an entry's name begins with prefix.
	any(prefix string) (bool, error)
}

// turnEntries reads through a turn; what goes wrong fails the turn.
type turnEntries struct{ t *turn.Turn }

func (e turnEntries) get(name string, m schemas.Message) (bool, error) { return e.t.Get(name, m), nil }

func (e turnEntries) any(prefix string) (bool, error) { return e.t.Any(prefix), nil }

// committedEntries are what is committed under a call's key, read at one moment: the gate's questions are
// answered by one reading, and never half by what a commit in between changed.
type committedEntries struct {
	names  []string // in byte order
	values [][]byte
}

func readCommitted(read pipeline.Reader, call pipeline.PendingCall) (committedEntries, error) {
	const names, bytes = 16, 2 << 10 // of most keys
	e := committedEntries{names: make([]string, 0, names), values: make([][]byte, 0, names)}
	buf := make([]byte, 0, bytes)
	err := read.Scan(call.Partition, call.Key, "", func(name string, value []byte) bool {
		at := len(buf)
		buf = append(buf, value...)
		e.names = append(e.names, name)
		e.values = append(e.values, buf[at:len(buf):len(buf)])
		return true
	})
	return e, err
}

func (e committedEntries) get(name string, m schemas.Message) (bool, error) {
	i, ok := slices.BinarySearch(e.names, name)
	if !ok {
		return false, nil
	}
	if err := schemas.Unmarshal(e.values[i], m); err != nil {
		return false, fmt.Errorf("decode state %s: %w", name, err)
	}
	return true, nil
}

// from returns the names that begin with prefix, and their values.
func (e committedEntries) from(prefix string) (names []string, values [][]byte) {
	i, _ := slices.BinarySearch(e.names, prefix)
	j := i
	for j < len(e.names) && strings.HasPrefix(e.names[j], prefix) {
		j++
	}
	return e.names[i:j], e.values[i:j]
}

func (e committedEntries) any(prefix string) (bool, error) {
	names, _ := e.from(prefix)
	return len(names) > 0, nil
}

// placeOf returns the place of a record; a conversation that is not named follows from channel and
// account.
func placeOf(r *handoffv1.Record) turn.Place {
	p := turn.Place{Channel: r.GetChannel(), Account: r.GetAccount(), Conversation: r.GetConversation()}
	if p.Conversation == "" && p.Channel != handoffv1.Channel_CHANNEL_UNSPECIFIED && p.Account != "" {
		p.Conversation = schemas.Conversation(p.Channel, p.Account)
	}
	return p
}

// coveringConsent returns the newest copy that covers a place, with the newest shut_version of all that
// do; nil when there is no record.
func coveringConsent(e entries, p turn.Place) (*statev1.GateConsent, error) {
	var newest *statev1.GateConsent
	shut := uint64(0)
	for _, scope := range scopes(p) {
		c := &statev1.GateConsent{}
		ok, err := e.get(consentPrefix+scope, c)
		if err != nil {
			return nil, err
		}
		shut = max(shut, c.GetShutVersion())
		if ok && (newest == nil || c.GetVersion() > newest.GetVersion()) {
			newest = c
		}
	}
	if newest != nil {
		newest.ShutVersion = shut
	}
	return newest, nil
}

// scopes are those of the ledger that cover a place.
func scopes(p turn.Place) []string {
	channel := schemas.ChannelName(p.Channel)
	return []string{"shop", "channel:" + channel, "account:" + channel + ":" + p.Account}
}

// allows tells whether a class may leave under a copy of consent. Without any record only answers to
// keywords do (C7).
func allows(c *statev1.GateConsent, class handoffv1.TextClass) bool {
	if c == nil {
		return class == handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER
	}
	return slices.Contains(c.GetAllowed(), class)
}
