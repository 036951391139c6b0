package analytics

import (
	"fmt"
	"strings"

	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/rows"
)

// name is an enum value's name in tables: without its type's prefix, in lower
// case; "" for the unspecified one. A value of a newer version is its number.
func name(v fmt.Stringer, prefix string) string {
	short := strings.ToLower(strings.TrimPrefix(v.String(), prefix))
	if short == "unspecified" {
		return ""
	}
	return short
}

func message(o rows.Origin, f *handoffv1.MessageFact) rows.Message {
	direction := "out"
	if f.GetInbound() {
		direction = "in"
	}
	c := f.GetClassification()
	return rows.Message{
		Origin:    o,
		MessageID: f.GetMessageId(), Direction: direction,
		Author: name(f.GetAuthor(), "AUTHOR_KIND_"), AuthorName: f.GetAuthorName(),
		Text: f.GetText(), Media: f.GetMediaCount(), TextClass: name(f.GetTextClass(), "TEXT_CLASS_"),
		Intent: c.GetIntent(), Confidence: c.GetConfidence(), Sentiment: c.GetSentiment(),
		Language: c.GetLanguage(), Directive: name(c.GetDirective(), "DIRECTIVE_"), Matched: c.GetMatched(),
		Unsure: c.GetUnsure(), ThanksOnly: c.GetThanksOnly(), AsksForPerson: c.GetAsksForPerson(),
		Classifier: c.GetClassifier(),
		Episode:    f.GetEpisode(), NativeID: f.GetNativeId(),
	}
}

func episode(o rows.Origin, f *handoffv1.EpisodeFact) rows.EpisodeEvent {
	return rows.EpisodeEvent{
		Origin:  o,
		Episode: f.GetEpisode(),
		From:    name(f.GetFrom(), "EPISODE_STATE_"), To: name(f.GetTo(), "EPISODE_STATE_"),
		Signal: name(f.GetSignal(), "SIGNAL_KIND_"), Intent: f.GetIntent(), SignalText: f.GetSignalText(),
		Desk: f.GetDesk(), TicketID: f.GetTicketId(), TicketURL: f.GetTicketUrl(),
		SignalledAt: instant(f.GetSignalledAt()), OfferedAt: instant(f.GetOfferedAt()),
		RequestedAt: instant(f.GetRequestedAt()), OpenedAt: instant(f.GetOpenedAt()),
		FirstReplyAt: instant(f.GetFirstReplyAt()), EndedAt: instant(f.GetEndedAt()),
		AgentReplies: f.GetAgentReplies(), Reopened: f.GetReopened(),
	}
}

func consent(o rows.Origin, f *handoffv1.ConsentFact) rows.ConsentChange {
	return rows.ConsentChange{
		Origin:  o,
		Version: f.GetVersion(), Scope: f.GetScope(), Prior: evidence.Status(f.GetPrior()), Status: evidence.Status(f.GetStatus()),
		Source: name(f.GetSource(), "CONSENT_SOURCE_"), Keyword: f.GetKeyword(), Text: f.GetText(), MessageID: f.GetMessageId(),
	}
}

func consentEvent(o rows.Origin, f *handoffv1.ConsentEvent) rows.ConsentEvent {
	return rows.ConsentEvent{
		Origin: o,
		Kind:   name(f.GetKind(), "CONSENT_EVENT_KIND_"), Text: f.GetText(), MessageID: f.GetMessageId(), By: f.GetBy(),
		DueAt: instant(f.GetDueAt()), Subscriber: f.GetSubscriber(), Person: f.GetPerson(),
	}
}

func ticket(o rows.Origin, f *handoffv1.TicketFact) rows.TicketEvent {
	return rows.TicketEvent{
		Origin: o, TicketID: f.GetTicketId(), TicketURL: f.GetTicketUrl(), Desk: f.GetDesk(),
		Status: name(f.GetStatus(), "TICKET_STATUS_"), Prior: name(f.GetPrior(), "TICKET_STATUS_"), NativeStatus: f.GetNativeStatus(),
		Reopened: f.GetReopened(), Assignee: f.GetAssignee(), MergedInto: f.GetMergedInto(), Episode: f.GetEpisode(),
	}
}

func ruleRun(o rows.Origin, f *handoffv1.RuleFact) rows.RuleRun {
	return rows.RuleRun{
		Origin: o,
		Rule:   f.GetRule(), When: f.GetWhen(), Did: f.GetDid(), Refused: f.GetRefused(), Lists: f.GetLists(),
		Episode: f.GetEpisode(), TicketID: f.GetTicketId(),
	}
}

func delivery(o rows.Origin, f *handoffv1.DeliveryFact) rows.Delivery {
	return rows.Delivery{
		Origin: o,
		CallID: f.GetCallId(), Action: name(f.GetAction(), "ACTION_"),
		Status: name(f.GetStatus(), "OUTCOME_STATUS_"), State: name(f.GetDelivery(), "DELIVERY_STATUS_"),
		BlockReason: name(f.GetBlockReason(), "BLOCK_REASON_"), Code: f.GetCode(), Destination: f.GetDestination(),
		TextClass: name(f.GetTextClass(), "TEXT_CLASS_"),
		Segments:  f.GetSegments(), Credits: f.GetCredits(), Attempts: f.GetAttempts(), Crossed: f.GetCrossed(),
		ProviderID: f.GetProviderId(), TicketID: f.GetTicketId(), Episode: f.GetEpisode(),
		StartedAt: instant(f.GetStartedAt()), EndedAt: instant(f.GetEndedAt()),
	}
}
