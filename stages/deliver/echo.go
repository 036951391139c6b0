package deliver

import (
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// onChannelEcho passes on what a person wrote in the channel's own app (H14). What Handoff sent itself comes
// back the same way and is known already.
func (s *Stage) onChannelEcho(t *turn.Turn, e *handoffv1.ChannelEcho) {
	if t.Seen() || s.ours(t, e) {
		return
	}
	t.Forward(schemas.TopicConsent, nil)
}

// ours tells whether an echo is of a text that Handoff sent: by the provider's id or the call's, or, since an
// echo can be faster than the answer that tells the id, by the words of a text of the conversation that is
// under way.
func (s *Stage) ours(t *turn.Turn, e *handoffv1.ChannelEcho) bool {
	sent, _ := s.find(t, &handoffv1.DeliveryState{ProviderId: e.GetNativeId(), CallId: e.GetCallId()})
	if sent != nil {
		return true
	}
	place, same := placeOf(t.Record), false
	turn.Scan(t, callPrefix, &statev1.OpenCall{}, func(_ string, open *statev1.OpenCall) bool {
		text := open.GetRecord().GetCommand().GetSendText()
		same = text != nil && placeOf(open.GetRecord()).Conversation == place.Conversation && text.GetText() == e.GetText()
		return !same
	})
	return same
}
