package escalate

import (
	"cmp"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// outbound is a text to the subscriber.
type outbound struct {
	class handoffv1.TextClass
	text  string
	media []*handoffv1.Media
	// question and until: what it asks; nothing by default, which closes the question before it.
	question handoffv1.Question
	until    time.Time
	// nativeID, author and onTicket of an agent's reply: the desk's message id, the agent's name, the
	// ticket (by its episode) it stands on.
	nativeID string
	author   string
	onTicket uint64
	// episode it belongs to; by default the one that lives.
	episode uint64
	// turn of a bot's reply.
	turn uint64
	// whilePaused lets a rule's text leave although people have the conversation (H4).
	whilePaused bool
	// moment it follows, for its pace (H12).
	moment moment
	// template stands in place of a free-form text: it may leave outside the channel's window (W3).
	template *handoffv1.Template
	// whileHeldSo: it says, or asks, who has the conversation; it leaves only while that has not changed, as do all
	// texts by bot or rule: what they answer is people's by then (H4).
	whileHeldSo bool
	// whileOpen is the call that the text says has not ended; it leaves only while that is so (H11).
	whileOpen string
	// because says why Handoff itself sends it, where nothing that is reported at that moment does (X3).
	because string
	// inThread is the call id under which the thread has it already: it was on its way before (C11).
	inThread string
}

// text fills in one of the shop's texts in the conversation's language.
func (c *conversation) text(id settings.TextID, pairs ...string) string {
	return c.shop.Text(id, c.state.GetLanguage(), pairs...)
}

// sendText asks deliver to send a text, puts it into the thread, tells classify what it asks, and
// reports it. It returns the call's id. Texts by Handoff itself to someone who opted out are not made
// at all, nor those that may not leave from here: "".
func (c *conversation) sendText(o outbound) (callID string) {
	if o.class == handoffv1.TextClass_TEXT_CLASS_SYSTEM && c.optedOut() {
		return ""
	}
	if o.episode == 0 {
		o.episode = c.liveEpisode()
	}
	if why := c.mayLeave(o); why != handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED {
		c.block(o, why)
		return ""
	}
	stamp := c.t.Record.GetConsent()
	if stamp == nil {
		stamp = c.state.GetConsent()
	}
	leaves, whileHold := c.notBefore(o), uint64(0)
	if o.whileHeldSo || automated(o.class) && !o.whilePaused {
		whileHold = c.state.GetHolds() + 1
	}
	callID = c.t.Command(c.at, turn.New(c.t, handoffv1.Command{
		Episode: o.episode,
		Action: turn.New(c.t, handoffv1.Command_SendText{SendText: turn.New(c.t, handoffv1.SendText{
			TextClass: o.class, Text: o.text, Media: o.media, Consent: stamp,
			NativeId: o.nativeID, Author: o.author, Turn: o.turn, Question: o.question, WhilePaused: o.whilePaused,
			WhileOpen: o.whileOpen, WhileHold: whileHold, Template: o.template, HumanAgent: c.asPerson(o), Quiet: c.quietCheck(o),
		})}),
		GiveUpAt: c.windowEnds(o), NotBefore: leaves,
	}))
	c.state.SentSince += c.messagesOf(o)
	c.asked(o, callID, c.paced(o, leaves))
	if o.inThread == "" || !c.thread.sentAgain(o.inThread, callID) {
		c.thread.add(turn.New(c.t, handoffv1.ThreadMessage{
			Id: callID, Author: authorOf(o.class), Name: c.authorName(o), At: c.now(), Text: o.text, Media: o.media,
		}), o.onTicket)
	}
	c.t.Fact(c.at, turn.New(c.t, handoffv1.Fact{Reason: cmp.Or(o.because, allowedBy(o, stamp)), Kind: turn.New(c.t, handoffv1.Fact_Message{Message: turn.New(c.t, handoffv1.MessageFact{
		MessageId: callID, Author: authorOf(o.class), AuthorName: c.authorName(o), Text: o.text,
		MediaCount: uint32(len(o.media)), TextClass: o.class, Episode: o.episode, NativeId: o.nativeID,
	})})}))
	if automated(o.class) {
		c.countAutomated()
	}
	return callID
}

// allowedBy says what lets a text leave that consent alone does not; "" for most.
func allowedBy(o outbound, stamp *handoffv1.ConsentStamp) string {
	if o.class == handoffv1.TextClass_TEXT_CLASS_AGENT && stamp.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED {
		return "answers within 24 hours what the customer wrote after they opted out (answer_after_stop)" // C13
	}
	return ""
}

// asked tells classify what the text asks, and from when on, so that it knows which question a bare yes answers.
func (c *conversation) asked(o outbound, callID string, from *timestamppb.Timestamp) {
	asked := turn.New(c.t, handoffv1.Asked{Question: o.question, QuestionId: callID, From: from})
	if o.question != handoffv1.Question_QUESTION_UNSPECIFIED {
		asked.Until = c.t.Stamp(o.until)
	}
	r := c.t.Make(c.at)
	r.Body = turn.New(c.t, handoffv1.Record_Asked{Asked: asked})
	c.t.Emit(schemas.TopicClassify, r)
}

// liveEpisode is the number of the episode that texts and messages belong to now; 0 for none.
func (c *conversation) liveEpisode() uint64 {
	switch c.episode.GetState() {
	case offered, requested, open:
		return c.episode.GetNumber()
	case none, closed, expired, declined, lapsed, failed, optedOut:
	}
	return 0
}

func (c *conversation) authorName(o outbound) string {
	if o.class == handoffv1.TextClass_TEXT_CLASS_BOT {
		return c.shop.Bot
	}
	return o.author
}

func authorOf(class handoffv1.TextClass) handoffv1.AuthorKind {
	switch class {
	case handoffv1.TextClass_TEXT_CLASS_AGENT:
		return handoffv1.AuthorKind_AUTHOR_KIND_AGENT
	case handoffv1.TextClass_TEXT_CLASS_BOT:
		return handoffv1.AuthorKind_AUTHOR_KIND_BOT
	case handoffv1.TextClass_TEXT_CLASS_RULE:
		return handoffv1.AuthorKind_AUTHOR_KIND_RULE
	case handoffv1.TextClass_TEXT_CLASS_SYSTEM, handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER,
		handoffv1.TextClass_TEXT_CLASS_OPT_IN_QUESTION, handoffv1.TextClass_TEXT_CLASS_UNSPECIFIED:
	}
	return handoffv1.AuthorKind_AUTHOR_KIND_SYSTEM
}
