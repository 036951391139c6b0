package deliver

import (
	"cmp"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// forgetTimer is when the oldest text is forgotten. It runs while anything is remembered.
const forgetTimer = "forget"

// remember keeps a text for its callbacks and for look-ups.
func (s *Stage) remember(t *turn.Turn, id string, open *statev1.OpenCall, providerID string) {
	c := open.GetRecord().GetCommand()
	forget := t.Now.Add(s.cfg.RememberFor)
	if some, _ := (turnEntries{t}).any(sentPrefix); !some {
		t.SetTimer(forgetTimer, forget)
	}
	t.Put(sentPrefix+cmp.Or(providerID, id), &statev1.SentText{
		CommandId: open.GetCommandId(), Conversation: placeOf(open.GetRecord()).Conversation,
		Episode: c.GetEpisode(), TextClass: c.GetSendText().GetTextClass(),
		Destination: open.GetDestination(), Created: open.GetCreated(),
		Ended: t.NowStamp(), ForgetAt: timestamppb.New(forget),
	})
}

// onTimer decides one timer.
func (s *Stage) onTimer(t *turn.Turn) error {
	if ticket, ok := strings.CutPrefix(t.Timer.Name, pollTimer); ok {
		return s.onPoll(t, ticket)
	}
	if t.Timer.Name == forgetTimer {
		s.forget(t)
	}
	return nil // others are of an older version of this stage
}

// forget drops texts whose time is over, and those of the hour after, so that a busy address does not
// wake up for each.
func (s *Stage) forget(t *turn.Turn) {
	var over []string
	var next time.Time
	turn.Scan(t, sentPrefix, &statev1.SentText{}, func(name string, m *statev1.SentText) bool {
		if at := m.GetForgetAt().AsTime(); !at.After(t.Now.Add(time.Hour)) {
			over = append(over, name)
		} else if next.IsZero() || at.Before(next) {
			next = at
		}
		return true
	})
	for _, name := range over {
		t.Delete(name)
	}
	if !next.IsZero() {
		t.SetTimer(forgetTimer, next)
	}
}

// onDeliveryState passes on what the provider says of a text, under the command's call id. States
// that are behind the furthest one are reported and not passed on.
func (s *Stage) onDeliveryState(t *turn.Turn, d *handoffv1.DeliveryState) error {
	if t.Seen() {
		return nil
	}
	sent, name := s.find(t, d)
	place := placeOf(t.Record)
	f := &handoffv1.DeliveryFact{
		CallId: d.GetCallId(), Action: handoffv1.Action_ACTION_SEND_TEXT, Delivery: d.GetStatus(),
		Code: d.GetCode(), ProviderId: d.GetProviderId(),
	}
	reason := d.GetMeaning()
	if sent == nil {
		reason = cmp.Or(reason, "a state of a text that deliver does not know")
		t.Fact(place, &handoffv1.Fact{Reason: reason, Kind: &handoffv1.Fact_Delivery{Delivery: f}})
		return nil
	}
	if p, err := turn.PlaceOf(sent.GetConversation()); err == nil {
		place = p
	}
	f.CallId, f.Destination, f.TextClass, f.Episode = sent.GetCommandId(), sent.GetDestination(), sent.GetTextClass(), sent.GetEpisode()
	t.Fact(place, &handoffv1.Fact{Reason: reason, Kind: &handoffv1.Fact_Delivery{Delivery: f}})
	if d.GetStatus() <= sent.GetStatus() {
		return nil // out of order
	}
	if name != "" {
		sent.Status = d.GetStatus()
		t.Put(name, sent)
	}
	r := t.Make(place)
	r.Body = &handoffv1.Record_DeliveryState{DeliveryState: &handoffv1.DeliveryState{
		ProviderId: d.GetProviderId(), CallId: sent.GetCommandId(), Status: d.GetStatus(),
		Code: d.GetCode(), Meaning: d.GetMeaning(),
	}}
	t.Emit(schemas.TopicEscalate, r)
	if d.GetStatus() == handoffv1.DeliveryStatus_DELIVERY_STATUS_FAILED { // it never arrived: nobody can answer it
		leaving(t, place, sent.GetCommandId(), handoffv1.Leaving_LEAVING_NOT_SENT)
	}
	if d.GetProviderOptedOut() {
		optedOutLater(t, place, sent, d)
	}
	return nil
}

// optedOutLater tells consent that the provider took a text and found later that the person had opted
// out there (C10).
func optedOutLater(t *turn.Turn, place turn.Place, sent *statev1.SentText, d *handoffv1.DeliveryState) {
	r := t.Make(place)
	r.Body = &handoffv1.Record_Receipt{Receipt: &handoffv1.Receipt{
		CallId: sent.GetCommandId(), Episode: sent.GetEpisode(),
		Action: handoffv1.Action_ACTION_SEND_TEXT, TextClass: sent.GetTextClass(),
		Outcome: &handoffv1.Outcome{
			Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, ProviderId: d.GetProviderId(),
			Code: d.GetCode(), Meaning: d.GetMeaning(), ProviderOptedOut: true,
		},
	}}
	t.Emit(schemas.TopicConsent, r)
}

// find returns the text a callback is about, by the provider's id, else by the call's: a callback can
// be faster than the answer to the request. name is the entry, empty while the call is open.
func (s *Stage) find(t *turn.Turn, d *handoffv1.DeliveryState) (sent *statev1.SentText, name string) {
	for _, id := range []string{d.GetProviderId(), d.GetCallId()} {
		sent = &statev1.SentText{}
		if id != "" && t.Get(sentPrefix+id, sent) {
			return sent, sentPrefix + id
		}
	}
	open := &statev1.OpenCall{}
	if d.GetCallId() == "" || !t.Get(callPrefix+d.GetCallId(), open) {
		return nil, ""
	}
	c := open.GetRecord().GetCommand()
	return &statev1.SentText{
		CommandId: open.GetCommandId(), Conversation: placeOf(open.GetRecord()).Conversation,
		Episode: c.GetEpisode(), TextClass: c.GetSendText().GetTextClass(), Destination: open.GetDestination(),
	}, ""
}
