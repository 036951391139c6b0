package analytics

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/rows"
)

// names are those of an enum's values in tables, by number.
type names []string

// named lists an enum's names without their type's prefix, in lower case; "" for the unspecified one. all are
// the generated ones.
func named(all map[int32]string, prefix string) names {
	list := make(names, slices.Max(slices.Collect(maps.Keys(all)))+1)
	for number := range list { // numbers that are no more, or not yet
		list[number] = strconv.Itoa(number)
	}
	for number, full := range all {
		list[number] = ""
		if short := strings.ToLower(strings.TrimPrefix(full, prefix)); short != "unspecified" {
			list[number] = short
		}
	}
	return list
}

// of is the name of a value; one of a newer version is its number.
func (n names) of(number int32) string {
	if number < 0 || int(number) >= len(n) {
		return strconv.Itoa(int(number))
	}
	return n[number]
}

// The names are asked for several times for every fact, and an enum's own String costs a look into descriptors.
var (
	authors         = named(handoffv1.AuthorKind_name, "AUTHOR_KIND_")
	textClasses     = named(handoffv1.TextClass_name, "TEXT_CLASS_")
	directives      = named(handoffv1.Directive_name, "DIRECTIVE_")
	episodeStates   = named(handoffv1.EpisodeState_name, "EPISODE_STATE_")
	signals         = named(handoffv1.SignalKind_name, "SIGNAL_KIND_")
	consentSources  = named(handoffv1.ConsentSource_name, "CONSENT_SOURCE_")
	consentEvents   = named(handoffv1.ConsentEventKind_name, "CONSENT_EVENT_KIND_")
	ticketStatuses  = named(handoffv1.TicketStatus_name, "TICKET_STATUS_")
	actions         = named(handoffv1.Action_name, "ACTION_")
	outcomes        = named(handoffv1.OutcomeStatus_name, "OUTCOME_STATUS_")
	deliveryStates  = named(handoffv1.DeliveryStatus_name, "DELIVERY_STATUS_")
	reasonsForBlock = named(handoffv1.BlockReason_name, "BLOCK_REASON_")
)

func message(o rows.Origin, f *handoffv1.MessageFact) rows.Message {
	direction := "out"
	if f.GetInbound() {
		direction = "in"
	}
	c := f.GetClassification()
	return rows.Message{
		Origin:    o,
		MessageID: f.GetMessageId(), Direction: direction,
		Author: authors.of(int32(f.GetAuthor())), AuthorName: f.GetAuthorName(),
		Text: f.GetText(), Media: f.GetMediaCount(), TextClass: textClasses.of(int32(f.GetTextClass())),
		Intent: c.GetIntent(), Confidence: c.GetConfidence(), Sentiment: c.GetSentiment(),
		Language: c.GetLanguage(), Directive: directives.of(int32(c.GetDirective())), Matched: c.GetMatched(),
		Unsure: c.GetUnsure(), ThanksOnly: c.GetThanksOnly(), AsksForPerson: c.GetAsksForPerson(),
		Classifier: c.GetClassifier(),
		Episode:    f.GetEpisode(), NativeID: f.GetNativeId(),
	}
}

func episode(o rows.Origin, f *handoffv1.EpisodeFact) rows.EpisodeEvent {
	return rows.EpisodeEvent{
		Origin:  o,
		Episode: f.GetEpisode(),
		From:    episodeStates.of(int32(f.GetFrom())), To: episodeStates.of(int32(f.GetTo())),
		Signal: signals.of(int32(f.GetSignal())), Intent: f.GetIntent(), SignalText: f.GetSignalText(),
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
		Source: consentSources.of(int32(f.GetSource())), Keyword: f.GetKeyword(), Text: f.GetText(), MessageID: f.GetMessageId(),
	}
}

func consentEvent(o rows.Origin, f *handoffv1.ConsentEvent) rows.ConsentEvent {
	return rows.ConsentEvent{
		Origin: o,
		Kind:   consentEvents.of(int32(f.GetKind())), Text: f.GetText(), MessageID: f.GetMessageId(), By: f.GetBy(),
		DueAt: instant(f.GetDueAt()), Subscriber: f.GetSubscriber(), Person: f.GetPerson(),
	}
}

func ticket(o rows.Origin, f *handoffv1.TicketFact) rows.TicketEvent {
	return rows.TicketEvent{
		Origin: o, TicketID: f.GetTicketId(), TicketURL: f.GetTicketUrl(), Desk: f.GetDesk(),
		Status: ticketStatuses.of(int32(f.GetStatus())), Prior: ticketStatuses.of(int32(f.GetPrior())), NativeStatus: f.GetNativeStatus(),
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
		CallID: f.GetCallId(), Action: actions.of(int32(f.GetAction())),
		Status: outcomes.of(int32(f.GetStatus())), State: deliveryStates.of(int32(f.GetDelivery())),
		BlockReason: reasonsForBlock.of(int32(f.GetBlockReason())), Code: f.GetCode(), Destination: f.GetDestination(),
		TextClass: textClasses.of(int32(f.GetTextClass())),
		Segments:  f.GetSegments(), Credits: f.GetCredits(), Attempts: f.GetAttempts(), Crossed: f.GetCrossed(),
		ProviderID: f.GetProviderId(), TicketID: f.GetTicketId(), Episode: f.GetEpisode(),
		StartedAt: instant(f.GetStartedAt()), EndedAt: instant(f.GetEndedAt()),
	}
}
