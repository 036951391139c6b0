package deliver

import (
	"fmt"
	"slices"

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

// committedEntries reads committed state under a call's key.
type committedEntries struct {
	read pipeline.Reader
	call pipeline.PendingCall
}

func (e committedEntries) get(name string, m schemas.Message) (bool, error) {
	value, ok, err := e.read.Get(e.call.Partition, e.call.Key, name)
	if err != nil || !ok {
		return false, err
	}
	if err := schemas.Unmarshal(value, m); err != nil {
		return false, fmt.Errorf("decode state %s of %s: %w", name, e.call.Key, err)
	}
	return true, nil
}

func (e committedEntries) any(prefix string) (found bool, err error) {
	err = e.read.Scan(e.call.Partition, e.call.Key, prefix, func(string, []byte) bool {
		found = true
		return false
	})
	return found, err
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
