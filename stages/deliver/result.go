package deliver

import (
	"cmp"
	"fmt"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// ended is how a call, or a text of several parts, ended.
type ended struct {
	outcome  *handoffv1.Outcome
	attempts uint32
	crossed  bool
	credits  uint32
	notYet   *handoffv1.SendText
	// waited: of a text in parts, classify was told that the first part waits.
	waited bool
}

// onCallResult ends a call. A result of a call that is not open is a repetition, or the bot's answer when it was given
// up. One that was lost and dropped ends its call as one of which nobody knows what came.
func (s *Stage) onCallResult(t *turn.Turn, r *handoffv1.CallResult) error {
	open := &statev1.OpenCall{}
	if !t.Get(callPrefix+r.GetCallId(), open) {
		lateAnswer(t, r)
		return nil
	}
	o := r.GetOutcome()
	if t.Record.GetDropped() {
		o = &handoffv1.Outcome{
			Status:  handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN,
			Meaning: "what came of it could not be processed, and was dropped", StartedAt: o.GetStartedAt(), ConsentVersion: o.GetConsentVersion(),
		}
	}
	if o.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_UNSPECIFIED {
		return fmt.Errorf("the result of call %s does not say how it ended", r.GetCallId())
	}
	return s.end(t, r.GetCallId(), open, ended{outcome: o, attempts: r.GetAttempt()})
}

// end removes an open call and passes on what came of it.
func (s *Stage) end(t *turn.Turn, id string, open *statev1.OpenCall, how ended) error {
	t.Delete(callPrefix + id)
	t.EndCall(id)
	c := open.GetRecord().GetCommand()
	switch c.GetAction().(type) {
	case *handoffv1.Command_SendText:
		whole, err := s.endText(t, id, open, how)
		if err != nil || whole == nil {
			return err
		}
		how = *whole
		askedEnded(t, open, whole)
	case *handoffv1.Command_CreateTicket:
		endCreate(t, open, how.outcome)
		endOpening(t, open)
	case *handoffv1.Command_AppendMessages:
		spoken(t, placeOf(open.GetRecord()), ticketEpisode(c))
		endOpening(t, open)
	case *handoffv1.Command_SetTicketStatus:
		endOpening(t, open)
	case *handoffv1.Command_FetchTicket:
		s.endFetch(t, open, how.outcome)
		fact(t, open, how)
		return nil // its own call: nobody waits for a receipt
	case *handoffv1.Command_AskBot:
		botReply(t, id, open, how.outcome)
	}
	receipt(t, schemas.TopicEscalate, open, how)
	if how.outcome.GetProviderOptedOut() {
		receipt(t, schemas.TopicConsent, open, how)
	}
	fact(t, open, how)
	return nil
}

// endText counts a text's segments and credits and remembers it for its callbacks. It returns how the
// whole text ended; nil while parts of it are to come.
func (s *Stage) endText(t *turn.Turn, id string, open *statev1.OpenCall, how ended) (*ended, error) {
	how.outcome = how.outcome.CloneVT()
	text := open.GetRecord().GetCommand().GetSendText()
	if mayHaveArrived(how.outcome.GetStatus()) {
		if how.outcome.Segments == 0 && open.GetRecord().GetChannel() == handoffv1.Channel_CHANNEL_SMS {
			n, _ := schemas.Segments(text.GetText())
			how.outcome.Segments = uint32(n)
		}
		how.credits = credits(t.Shop, open, how.outcome.GetSegments())
		s.remember(t, id, open, how.outcome.GetProviderId())
	}
	var err error
	if how.crossed, err = crossed(turnEntries{t}, open, how.outcome); err != nil {
		return nil, err
	}
	if open.GetParts() > 1 {
		return endPart(t, open, how), nil
	}
	how.notYet = notYet(open, how.outcome, nil)
	return &how, nil
}

// endPart adds a part's end to the text's. A part that was not sent ends the text: the parts behind
// it are dropped, for half a sentence without its beginning helps nobody.
func endPart(t *turn.Turn, open *statev1.OpenCall, how ended) *ended {
	name, split := splitPrefix+open.GetCommandId(), &statev1.SplitText{}
	t.Get(name, split)
	split.Ended++
	split.Segments += how.outcome.GetSegments()
	split.Credits += how.credits
	split.Attempts += how.attempts
	split.Crossed = split.Crossed || how.crossed
	split.Waited = split.Waited || open.GetWaits()
	split.Unknown = split.Unknown || how.outcome.GetStatus() == handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN
	split.ProviderId = cmp.Or(split.ProviderId, how.outcome.GetProviderId())
	sent := mayHaveArrived(how.outcome.GetStatus())
	if sent && open.GetPart() < open.GetParts() {
		t.Put(name, split)
		return nil
	}
	t.Delete(name)
	whole := &ended{
		outcome: how.outcome, attempts: split.Attempts, crossed: split.Crossed, credits: split.Credits, waited: split.Waited,
	}
	whole.outcome.Segments = split.Segments
	whole.outcome.ProviderId = split.ProviderId
	switch {
	case !sent:
		var rest []string
		for _, id := range split.GetCalls()[min(int(open.GetPart()), len(split.GetCalls())):] {
			behind := &statev1.OpenCall{}
			t.Get(callPrefix+id, behind)
			rest = append(rest, behind.GetRecord().GetCommand().GetSendText().GetText())
			t.Delete(callPrefix + id)
			t.EndCall(id)
		}
		whole.notYet = notYet(open, how.outcome, rest)
		whole.outcome.Meaning = fmt.Sprintf("part %d of %d was not sent, nor what follows it: %s",
			open.GetPart(), open.GetParts(), cmp.Or(how.outcome.GetMeaning(), "no reason was given"))
	case split.Unknown:
		whole.outcome.Status = handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN
	}
	return whole
}

// credits of a text that was sent (H5).
func credits(shop *settings.Shop, open *statev1.OpenCall, segments uint32) uint32 {
	switch {
	case open.GetRecord().GetChannel() != handoffv1.Channel_CHANNEL_SMS:
		return uint32(shop.Handoff.MessageCredits)
	case len(open.GetRecord().GetCommand().GetSendText().GetMedia()) > 0:
		return uint32(shop.Handoff.MMSCredits)
	default:
		return segments * uint32(shop.Handoff.SegmentCredits)
	}
}

// receipt tells how a command ended. What agents should know of it, escalate writes as a note.
func receipt(t *turn.Turn, topic string, open *statev1.OpenCall, how ended) {
	c := open.GetRecord().GetCommand()
	o := how.outcome.CloneVT()
	o.Items, o.BotReply = nil, nil
	if needsTicket(c) { // so that escalate knows which of the conversation's tickets it was about
		ticket := &statev1.DeskTicket{}
		t.Get(ticketName(placeOf(open.GetRecord()).Conversation, ticketEpisode(c)), ticket)
		o.TicketId = cmp.Or(o.GetTicketId(), ticket.GetTicketId())
	}
	r := t.Make(placeOf(open.GetRecord()))
	r.Body = &handoffv1.Record_Receipt{Receipt: &handoffv1.Receipt{
		CallId: open.GetCommandId(), Episode: c.GetEpisode(), Action: actionOf(c), Outcome: o,
		TextClass: c.GetSendText().GetTextClass(), NativeId: c.GetSendText().GetNativeId(),
		Crossed: how.crossed, Attempts: how.attempts, NotYet: how.notYet,
	}}
	t.Emit(topic, r)
}

// fact reports how a command ended.
func fact(t *turn.Turn, open *statev1.OpenCall, how ended) {
	c, o := open.GetRecord().GetCommand(), how.outcome
	blocked := o.GetBlockReason()
	if c.GetAskBot() != nil {
		blocked = handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED // no text was
	}
	t.Fact(placeOf(open.GetRecord()), &handoffv1.Fact{
		Reason: o.GetMeaning(),
		Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{
			CallId: open.GetCommandId(), Action: actionOf(c), Status: o.GetStatus(),
			BlockReason: blocked, Code: o.GetCode(), Destination: open.GetDestination(),
			TextClass: c.GetSendText().GetTextClass(), Segments: o.GetSegments(), Credits: how.credits,
			Attempts: how.attempts, Crossed: how.crossed, ProviderId: o.GetProviderId(),
			TicketId: o.GetTicketId(), Episode: c.GetEpisode(),
			StartedAt: o.GetStartedAt(), EndedAt: o.GetEndedAt(),
		}},
	})
}
