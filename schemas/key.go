package schemas

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Key is what records are keyed, partitioned and ordered by: one person at one shop. Phone channels
// share the E.164 number, so a person's SMS and WhatsApp are in order with each other.
type Key struct {
	Shop    string
	Address string
}

// ErrKey is wrapped by every error about a record key.
var ErrKey = errors.New("bad record key")

// Bytes returns the Kafka key, "shop|address".
func (k Key) Bytes() []byte {
	b := make([]byte, 0, len(k.Shop)+1+len(k.Address))
	b = append(b, k.Shop...)
	b = append(b, '|')
	return append(b, k.Address...)
}

// String returns the key as text.
func (k Key) String() string { return k.Shop + "|" + k.Address }

// is tells whether these are the key's bytes.
func (k Key) is(b []byte) bool {
	n := len(k.Shop)
	return len(b) == n+1+len(k.Address) && string(b[:n]) == k.Shop && b[n] == '|' && string(b[n+1:]) == k.Address
}

// ParseKey splits a Kafka key. A shop's id holds no '|', so the first one divides.
func ParseKey(b []byte) (Key, error) {
	shop, address, ok := strings.Cut(string(b), "|")
	if !ok || shop == "" || address == "" {
		return Key{}, fmt.Errorf("%w %q: want shop|address", ErrKey, b)
	}
	return Key{Shop: shop, Address: address}, nil
}

// KeyOf returns the key of a record's envelope.
func KeyOf(r *handoffv1.Record) Key { return Key{Shop: r.GetShop(), Address: r.GetAddress()} }

// Conversation returns the id of a thread under its key: "<channel>:<account>".
func Conversation(channel handoffv1.Channel, account string) string {
	return ChannelName(channel) + ":" + account
}

// ParseConversation splits a conversation id.
func ParseConversation(id string) (channel handoffv1.Channel, account string, err error) {
	name, account, ok := strings.Cut(id, ":")
	channel = ChannelOf(name)
	if !ok || account == "" || channel == handoffv1.Channel_CHANNEL_UNSPECIFIED {
		return 0, "", fmt.Errorf("bad conversation id %q: want channel:account", id)
	}
	return channel, account, nil
}

// ChannelName returns the channel's name in ids, settings and tables, e.g. "sms"; "" when unknown.
func ChannelName(c handoffv1.Channel) string {
	switch c { // asked several times for every record, and an enum's own name costs a look into descriptors
	case handoffv1.Channel_CHANNEL_SMS:
		return "sms"
	case handoffv1.Channel_CHANNEL_WHATSAPP:
		return "whatsapp"
	case handoffv1.Channel_CHANNEL_MESSENGER:
		return "messenger"
	case handoffv1.Channel_CHANNEL_INSTAGRAM:
		return "instagram"
	case handoffv1.Channel_CHANNEL_X:
		return "x"
	case handoffv1.Channel_CHANNEL_LINE:
		return "line"
	case handoffv1.Channel_CHANNEL_WECHAT:
		return "wechat"
	case handoffv1.Channel_CHANNEL_UNSPECIFIED:
		return ""
	}
	return strings.ToLower(strings.TrimPrefix(c.String(), "CHANNEL_"))
}

// ChannelOf returns the channel of a name; CHANNEL_UNSPECIFIED when there is none.
func ChannelOf(name string) handoffv1.Channel {
	return handoffv1.Channel(handoffv1.Channel_value["CHANNEL_"+strings.ToUpper(name)])
}

// ChannelTitle returns the channel's name for people, e.g. "SMS", "WhatsApp".
func ChannelTitle(c handoffv1.Channel) string {
	switch c {
	case handoffv1.Channel_CHANNEL_SMS:
		return "SMS"
	case handoffv1.Channel_CHANNEL_WHATSAPP:
		return "WhatsApp"
	case handoffv1.Channel_CHANNEL_MESSENGER:
		return "Messenger"
	case handoffv1.Channel_CHANNEL_INSTAGRAM:
		return "Instagram"
	case handoffv1.Channel_CHANNEL_X:
		return "X"
	case handoffv1.Channel_CHANNEL_LINE:
		return "LINE"
	case handoffv1.Channel_CHANNEL_WECHAT:
		return "WeChat"
	case handoffv1.Channel_CHANNEL_UNSPECIFIED:
	}
	return ""
}

// Ticket names an episode's ticket at a desk: whose it is and which episode of which conversation.
type Ticket struct {
	Key          Key
	Conversation string
	Episode      uint64
}

// ExternalID returns the id a ticket carries at the desk, by which its webhooks can be keyed:
// "handoff:<base64url(record key, newline, conversation)>:<episode>".
func (t Ticket) ExternalID() string {
	raw := t.Key.String() + "\n" + t.Conversation
	return "handoff:" + base64.RawURLEncoding.EncodeToString([]byte(raw)) + ":" + strconv.FormatUint(t.Episode, 10)
}

// ParseExternalID reads what ExternalID wrote.
func ParseExternalID(s string) (Ticket, error) {
	fail := func(why string) (Ticket, error) {
		return Ticket{}, fmt.Errorf("bad ticket external id %q: %s", s, why)
	}
	rest, ok := strings.CutPrefix(s, "handoff:")
	if !ok {
		return fail("does not begin with handoff:")
	}
	encoded, number, ok := strings.Cut(rest, ":")
	if !ok {
		return fail("has no episode")
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return fail("its key is not base64url")
	}
	key, conversation, ok := strings.Cut(string(raw), "\n")
	if !ok {
		return fail("has no conversation")
	}
	k, err := ParseKey([]byte(key))
	if err != nil {
		return fail(err.Error())
	}
	if _, _, err := ParseConversation(conversation); err != nil {
		return fail(err.Error())
	}
	episode, err := strconv.ParseUint(number, 10, 64)
	if err != nil || episode == 0 {
		return fail("its episode is not a number from 1")
	}
	return Ticket{Key: k, Conversation: conversation, Episode: episode}, nil
}
