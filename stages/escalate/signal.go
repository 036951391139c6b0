package escalate

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// intentHuman is the listed intent by which a shop lets people ask for a person.
const intentHuman = "human"

// signalIn returns the signal in a customer's message (H1), nil when there is none: the person asks for
// a person, a listed intent, strongly negative sentiment, or one unplaced message too many. It counts
// unplaced messages, so it is called once per message that the bot would answer.
func (c *conversation) signalIn(m inbound) *statev1.Signal {
	read, h := m.read, &c.shop.Handoff
	if read.GetUnsure() {
		c.state.Unsure++
	}
	var kind handoffv1.SignalKind
	var reason string
	listed := !read.GetUnsure() && slices.Contains(h.Intents, read.GetIntent())
	switch {
	case read.GetAsksForPerson() && slices.Contains(h.Intents, intentHuman):
		kind, reason = handoffv1.SignalKind_SIGNAL_KIND_ASKED_FOR_PERSON, "asked for a person"
	case listed:
		kind = handoffv1.SignalKind_SIGNAL_KIND_INTENT
		if read.GetConfidence() <= 0 {
			reason = c.t.Join("intent ", read.GetIntent())
		} else {
			var room [16]byte
			reason = c.t.Join("intent ", read.GetIntent(), ", confidence ", string(appendHundredths(room[:0], read.GetConfidence())))
		}
	case float64(read.GetSentiment()) < h.SentimentBelow:
		kind = handoffv1.SignalKind_SIGNAL_KIND_SENTIMENT
		reason = fmt.Sprintf("sentiment %.2f, below %.2f", read.GetSentiment(), h.SentimentBelow)
	case int(c.state.GetUnsure()) >= h.UnsureInARow:
		kind = handoffv1.SignalKind_SIGNAL_KIND_UNSURE
		reason = fmt.Sprintf("unplaced messages in a row: %d", c.state.GetUnsure())
	default:
		return nil
	}
	return turn.New(c.t, statev1.Signal{Kind: kind, Intent: read.GetIntent(), Text: m.GetText(), At: c.received(), Reason: reason})
}

// appendHundredths appends a share, from 0 to 1, with two decimals, as strconv does with less effort for more precision. A
// hundred times a float32 is a float64 without rounding.
func appendHundredths(dst []byte, share float32) []byte {
	n := uint64(math.RoundToEven(float64(share) * 100))
	return append(strconv.AppendUint(dst, n/100, 10), '.', byte('0'+n/10%10), byte('0'+n%10))
}

// botSignal is the signal of a bot that cannot answer a message.
func (c *conversation) botSignal(asked *statev1.Cause, why string) *statev1.Signal {
	intent := asked.GetIntent()
	if intent == "" {
		intent = why
	}
	return turn.New(c.t, statev1.Signal{
		Kind:   handoffv1.SignalKind_SIGNAL_KIND_BOT_CANNOT_ANSWER,
		Intent: intent, Text: asked.GetText(), At: asked.GetReceivedAt(),
		Reason: c.t.Join("the bot cannot answer: ", why),
	})
}

// handoff acts on a signal: the subscriber is asked, or the episode is requested at once where the
// question is skipped or not allowed. It returns why nothing was done, "" when it was.
func (c *conversation) handoff(signal *statev1.Signal) (notDone string) {
	switch barred, by := c.barred(); {
	case c.paused():
		return "people have the conversation"
	case barred != "":
		return barred + " (" + by + ")"
	case c.mirrored(): // M6
		c.begin(signal)
		c.request(EventRequest, signal.GetReason())
	case c.episode.GetState() == offered && c.episode.GetQuestionId() == "":
		c.offerAgain(signal.GetReason())
	case c.episode.GetState() == offered:
		return "an offer stands (H2)"
	case c.refused(signal):
		return "the same offer was declined or lapsed within " + settings.Span(c.shop.Handoff.OfferAgainAfter) + " (H2)"
	case signal.GetKind() == handoffv1.SignalKind_SIGNAL_KIND_ASKED_FOR_PERSON && c.shop.Handoff.SkipOfferWhenAsked:
		c.begin(signal)
		c.request(EventRequest, signal.GetReason()+" (skip_offer_when_asked)")
	case !c.mayAsk():
		c.begin(signal)
		c.request(EventRequest, signal.GetReason()+"; the offer may not be sent before the subscription is confirmed")
	case c.mayLeave(outbound{class: handoffv1.TextClass_TEXT_CLASS_SYSTEM, text: c.offerText()}) != handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED:
		c.begin(signal)
		c.request(EventRequest, signal.GetReason()+"; the channel takes no offer now")
	default:
		c.begin(signal)
		c.offer(signal.GetReason())
	}
	return ""
}

// mayAsk tells whether the offer may be sent: to a person who was asked to confirm the subscription only
// that question may leave, and a shop that requires a subscription for its replies asks nobody else.
func (c *conversation) mayAsk() bool {
	switch c.state.GetConsent().GetStatus() {
	case handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED:
		return true
	case handoffv1.ConsentStatus_CONSENT_STATUS_PENDING:
		return false
	default:
		return c.shop.Consent.ReplyRequires != "subscription"
	}
}

// refused tells that the same was offered lately and declined or left unanswered (H2): then nothing is
// offered again for a while, unless the person asks for a person or the reason differs.
func (c *conversation) refused(signal *statev1.Signal) bool {
	if signal.GetKind() == handoffv1.SignalKind_SIGNAL_KIND_ASKED_FOR_PERSON {
		return false
	}
	return slices.ContainsFunc(c.state.GetRefusals(), func(r *statev1.Refusal) bool {
		return sameReason(signal, r) && c.t.At().Before(r.GetUntil().AsTime())
	})
}

// sameReason tells whether a signal has the reason of an offer that was refused: its kind and, of
// intents, which one.
func sameReason(signal *statev1.Signal, r *statev1.Refusal) bool {
	return signal.GetKind() == r.GetKind() &&
		(signal.GetKind() != handoffv1.SignalKind_SIGNAL_KIND_INTENT || signal.GetIntent() == r.GetIntent())
}
