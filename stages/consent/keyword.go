package consent

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/htmltext"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// answerWithin is how long the answer to a keyword may take: later it is not sent (C2; 47 CFR
// 64.1200(a)(12) presumes a confirmation within five minutes to be fine).
const answerWithin = 5 * time.Minute

// stop opts the writer out, and confirms it once (C2). What is asked for in the same message goes on, as
// the message of a person who has opted out (C5, C13).
func stop(t *turn.Turn, m *handoffv1.CustomerMessage) {
	more := m.GetClassification().GetMoreText() && !m.GetClassification().GetWrongNumber() // who asks nothing of this shop
	before := optOut(t, t.Here(), change{
		source: keywordSource(m), keyword: written(m), text: m.GetText(), more: more, wrongNumber: m.GetClassification().GetWrongNumber(),
	}, "")
	again := before.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED
	plain := m.GetClassification().GetPlainLanguage() // which no provider answers
	switch {
	case again:
		notAnswered(t, m, "they had opted out before, which is confirmed once (C2)")
	case !plain && providerAnswers(t, m, "stop", handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_STOP):
		notAnswered(t, m, providerDoes)
	default:
		reply(t, settings.TextStopConfirmed, m)
	}
	if more {
		forward(t)
	}
}

// start subscribes the writer and confirms it (C3). Escalate learns of a change only. Where the shop
// wants it confirmed, who was not asked yet is asked (C6); a START of somebody who was is their yes.
//
// A START that was set aside, and is put back behind a STOP that was received later, changes nothing.
func start(t *turn.Turn, m *handoffv1.CustomerMessage, source handoffv1.ConsentSource) {
	before := current(t, t.Here())
	if before.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED && t.At().Before(before.lastWord(t, t.Here())) {
		notAnswered(t, m, "an opt-out was received after it, which counts")
		return
	}
	begin(t, t.Here(), m.GetText())
	switch before.GetStatus() {
	case handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED, handoffv1.ConsentStatus_CONSENT_STATUS_PENDING:
	default:
		if source != handoffv1.ConsentSource_CONSENT_SOURCE_OPT_IN_ANSWER && t.Shop.Consent.DoubleOptIn {
			askOptIn(t, m, optInScope(t, before)) // the answer to their word: the question's limits are for others
			return
		}
	}
	c := change{
		scope:  optInScope(t, before),
		status: handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED,
		source: source, keyword: written(m), text: m.GetText(),
	}
	switch {
	case before.GetStatus() != c.status:
		c.write(t, t.Here())
		notice(t, t.Here(), &handoffv1.ConsentNotice{
			Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPTED_IN, Keyword: c.keyword, Source: c.source,
			Scope: c.scope, Prior: before.GetStatus(), Status: c.status, Since: t.AtStamp(), Text: c.text,
			ProviderMayBlock: providerMayBlock(before, m.GetProviderOptOut()),
		})
	case t.At().After(before.GetSince().AsTime()): // said again: what an import tells from before it is older (C14)
		c.scope = before.scope
		c.write(t, t.Here())
	}
	if providerAnswers(t, m, "start", handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_START) {
		notAnswered(t, m, providerDoes)
	} else {
		reply(t, settings.TextStartConfirmed, m)
	}
	settleHeld(t)
	settleCovered(t, handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED, handoffv1.ConsentEventKind_CONSENT_EVENT_KIND_POSSIBLE_DECLINED, written(m), "the customer subscribed")
}

// help answers with the support contact, even those who never subscribed or opted out, and changes
// nothing (C4).
func help(t *turn.Turn, m *handoffv1.CustomerMessage) {
	now := current(t, t.Here())
	if providerAnswers(t, m, "help", handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_HELP) {
		notAnswered(t, m, providerDoes)
	} else {
		o := answerTo(t, settings.TextHelp, m)
		o.stands = standingOptIn(t, now) // who asked for help first can still say yes (C6)
		say(t, o)
	}
	notice(t, t.Here(), &handoffv1.ConsentNotice{
		Kind: handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_HELP, Keyword: written(m),
		Source: handoffv1.ConsentSource_CONSENT_SOURCE_KEYWORD, Scope: now.scope,
		Prior: now.GetStatus(), Status: now.GetStatus(), Since: now.GetSince(), Text: m.GetText(),
	})
}

// yes subscribes who was asked to confirm, and who had opted out only where the provider says that it
// opted them in; else it answers something else and is escalate's (C3). The question may be one that the platform
// asked: then YES is its answer, with more behind it as long as an answer is waited for. What follows it is a message.
// A bare yes to an offer that stands beside the platform's question says yes to both: whoever is handed over is to get
// what agents answer, and nobody would ask again (C14).
func yes(t *turn.Turn, m *handoffv1.CustomerMessage) {
	c := m.GetClassification()
	now := current(t, t.Here())
	status := now.GetStatus()
	optedOut := status == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED
	asked := c.GetAnswers() == handoffv1.Question_QUESTION_OPT_IN
	toNone := c.GetAnswers() == handoffv1.Question_QUESTION_UNSPECIFIED
	toBoth := acceptsOffer(m) && !c.GetMoreText() && !c.GetAsksForPerson() && standingOptIn(t, now) != nil
	switch {
	case optedOut && m.GetProviderOptOut() == handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_START:
		start(t, m, handoffv1.ConsentSource_CONSENT_SOURCE_PROVIDER)
	case asked && !optedOut,
		toNone && !c.GetMoreText() && status == handoffv1.ConsentStatus_CONSENT_STATUS_PENDING,
		toNone && standingOptIn(t, now) != nil, toBoth:
		start(t, m, handoffv1.ConsentSource_CONSENT_SOURCE_OPT_IN_ANSWER)
	default:
		pass(t, m)
		return
	}
	if c.GetMoreText() || toBoth {
		forward(t)
	}
}

// receipt takes the provider's word that the address opted out there (C10).
func receipt(t *turn.Turn, r *handoffv1.Receipt) {
	if !r.GetOutcome().GetProviderOptedOut() {
		return // deliver posts none else; the outcome is escalate's
	}
	optOut(t, t.Here(), change{
		source: handoffv1.ConsentSource_CONSENT_SOURCE_PROVIDER,
		text:   strings.TrimSpace(r.GetOutcome().GetCode() + " " + r.GetOutcome().GetMeaning()),
	}, "")
}

// keywordSource is plain language where there was no keyword, the provider where it alone took the message
// for one, else the keyword; a wrong number is a source of its own.
func keywordSource(m *handoffv1.CustomerMessage) handoffv1.ConsentSource {
	if m.GetClassification().GetWrongNumber() {
		return handoffv1.ConsentSource_CONSENT_SOURCE_WRONG_NUMBER
	}
	if m.GetClassification().GetPlainLanguage() {
		return handoffv1.ConsentSource_CONSENT_SOURCE_PLAIN_LANGUAGE
	}
	if m.GetClassification().GetMatched() == "" {
		return handoffv1.ConsentSource_CONSENT_SOURCE_PROVIDER
	}
	return handoffv1.ConsentSource_CONSENT_SOURCE_KEYWORD
}

// longestKeyword is how much of a message is shown as its keyword.
const longestKeyword = 64

// written is the keyword as the person wrote it, without the punctuation and emoji around it and what a phone put
// below it; where there is nothing else ("🛑"), those.
func written(m *handoffv1.CustomerMessage) string {
	text := strings.TrimFunc(htmltext.OwnWords(m.GetText()), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	if text == "" {
		text = m.GetText()
	}
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) > longestKeyword {
		text = string([]rune(text)[:longestKeyword])
	}
	return text
}

// providerAnswers tells whether the provider answers a keyword family itself: it said so with the
// message, or the account is set so. A second answer is never sent.
func providerAnswers(t *turn.Turn, m *handoffv1.CustomerMessage, family string, did handoffv1.ProviderOptOut) bool {
	if m.GetProviderOptOut() == did {
		return true
	}
	a := t.Shop.Account(t.Record.GetChannel(), t.Record.GetAccount())
	return a != nil && slices.Contains(a.ProviderAnswers, family)
}

// reply answers a keyword.
func reply(t *turn.Turn, id settings.TextID, m *handoffv1.CustomerMessage) {
	say(t, answerTo(t, id, m))
}

// answerTo is the answer to a keyword.
func answerTo(t *turn.Turn, id settings.TextID, m *handoffv1.CustomerMessage) outgoing {
	return outgoing{
		text: t.Shop.Text(id, m.GetClassification().GetLanguage()), class: handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER,
		giveUp: answerWithin, reason: whatIsAnswered(m), stamp: stampOf(t, t.Here()),
	}
}

// whatIsAnswered says in words what a message was taken for that is answered.
func whatIsAnswered(m *handoffv1.CustomerMessage) string {
	c := m.GetClassification()
	switch {
	case c.GetWrongNumber():
		return "wrong number"
	case c.GetPlainLanguage():
		return "opt-out in plain language"
	case c.GetDirective() == handoffv1.Directive_DIRECTIVE_YES:
		return "yes to texts"
	}
	return "keyword " + written(m)
}

// outgoing is a text of consent's own.
type outgoing struct {
	text   string
	class  handoffv1.TextClass
	giveUp time.Duration
	// stamp under which it may leave.
	stamp *handoffv1.ConsentStamp
	// question and until: what it asks; nothing by default.
	question handoffv1.Question
	until    *timestamppb.Timestamp
	// stands is until when the opt-in question from before it can still be answered; nil: no question can.
	stands *timestamppb.Timestamp
	reason string
}

// say sends a text where the turn's record came from, tells classify what it asks, and reports it.
func say(t *turn.Turn, o outgoing) {
	here := t.Here()
	call := t.Command(here, &handoffv1.Command{
		GiveUpAt: t.Stamp(t.At().Add(o.giveUp)),
		Action: &handoffv1.Command_SendText{SendText: &handoffv1.SendText{
			TextClass: o.class, Text: o.text, Consent: o.stamp, Question: o.question,
		}},
	})
	asked := t.Make(here)
	ask := &handoffv1.Asked{Question: o.question, QuestionId: call, Until: o.until}
	if o.stands != nil {
		ask.Question, ask.Until = handoffv1.Question_QUESTION_OPT_IN, o.stands
	}
	asked.Body = &handoffv1.Record_Asked{Asked: ask}
	t.Emit(schemas.TopicClassify, asked)
	t.Fact(here, &handoffv1.Fact{
		Reason: o.reason,
		Kind: &handoffv1.Fact_Message{Message: &handoffv1.MessageFact{
			MessageId: call, Author: handoffv1.AuthorKind_AUTHOR_KIND_SYSTEM, Text: o.text, TextClass: o.class,
		}},
	})
}

// providerDoes is why Handoff does not answer a keyword itself.
const providerDoes = "the provider answers it itself (provider_answers, or its word with the message)"

// notAnswered records why a keyword got no answer.
func notAnswered(t *turn.Turn, m *handoffv1.CustomerMessage, why string) {
	t.Fact(t.Here(), &handoffv1.Fact{
		Reason: "no answer to " + written(m) + ": " + why,
		Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: t.HexID(), Action: handoffv1.Action_ACTION_SEND_TEXT,
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED, TextClass: handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER,
		}},
	})
}
