package schemas

import (
	"time"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Window is how long after the subscriber's last message a channel takes free-form texts (W3). The zero
// Window has no end.
type Window struct {
	// Open is how long any text may leave.
	Open time.Duration
	// Person is how long a person's reply may leave, under the channel's tag for it from Open on.
	Person time.Duration
	// Messages is how many texts may leave in it; 0 for any number.
	Messages int
}

// WindowOf returns a channel's window. Sources: WhatsApp Business Platform, "Customer service windows";
// Messenger Platform and Instagram Messaging, "Standard messaging window" and "Human agent" tag; WeChat
// Official Accounts, "Customer service messages" (48 hours, 5 messages for each of the user's).
func WindowOf(c handoffv1.Channel) Window {
	const day = 24 * time.Hour
	switch c {
	case handoffv1.Channel_CHANNEL_WHATSAPP:
		return Window{Open: day, Person: day}
	case handoffv1.Channel_CHANNEL_MESSENGER, handoffv1.Channel_CHANNEL_INSTAGRAM:
		return Window{Open: day, Person: 7 * day}
	case handoffv1.Channel_CHANNEL_WECHAT:
		return Window{Open: 2 * day, Person: 2 * day, Messages: 5}
	case handoffv1.Channel_CHANNEL_UNSPECIFIED, handoffv1.Channel_CHANNEL_SMS, handoffv1.Channel_CHANNEL_X,
		handoffv1.Channel_CHANNEL_LINE:
	}
	return Window{}
}

// TextLimit is the longest text that one message of a channel holds, in UTF-16 units (W10). Sources: the
// channels' API documents; WeChat's is 2048 bytes, three a unit at most.
func TextLimit(c handoffv1.Channel) int {
	switch c {
	case handoffv1.Channel_CHANNEL_SMS:
		return 1600 // Twilio; generic providers take what Twilio takes
	case handoffv1.Channel_CHANNEL_WHATSAPP:
		return 4096
	case handoffv1.Channel_CHANNEL_MESSENGER:
		return 2000
	case handoffv1.Channel_CHANNEL_LINE:
		return 5000
	case handoffv1.Channel_CHANNEL_INSTAGRAM:
		return 1000
	case handoffv1.Channel_CHANNEL_WECHAT:
		return 600
	case handoffv1.Channel_CHANNEL_X, handoffv1.Channel_CHANNEL_UNSPECIFIED:
	}
	return 10000
}
