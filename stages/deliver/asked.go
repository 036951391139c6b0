package deliver

import (
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// onFailing passes on that calls fail to escalate, who judges what it means for an episode. Of texts among them
// classify is told, once each: what they ask was not seen yet, and what was asked before can still be answered (H2).
// Of a text in parts the first counts. One that may have arrived is taken for seen.
func (s *Stage) onFailing(t *turn.Turn, f *handoffv1.DeskFailing) {
	desk := false
	for _, id := range f.GetCallIds() {
		open := &statev1.OpenCall{}
		if !t.Get(callPrefix+id, open) {
			continue
		}
		if open.GetRecord().GetCommand().GetSendText() == nil {
			desk = true
			continue
		}
		if open.GetWaits() || open.GetPart() > 1 || id == f.GetUnanswered() {
			continue
		}
		open.Waits = true
		t.Put(callPrefix+id, open)
		leaving(t, placeOf(open.GetRecord()), open.GetCommandId(), handoffv1.Leaving_LEAVING_WAITS)
	}
	if desk {
		t.Forward(schemas.TopicEscalate, nil)
	}
}

// askedEnded tells classify of a text that was not sent, or has left after it waited. Of any other it knows.
func askedEnded(t *turn.Turn, open *statev1.OpenCall, how *ended) {
	switch arrived := mayHaveArrived(how.outcome.GetStatus()); {
	case !arrived:
		leaving(t, placeOf(open.GetRecord()), open.GetCommandId(), handoffv1.Leaving_LEAVING_NOT_SENT)
	case open.GetWaits() || how.waited:
		leaving(t, placeOf(open.GetRecord()), open.GetCommandId(), handoffv1.Leaving_LEAVING_LEFT)
	}
}

// leaving tells classify what became of a text.
func leaving(t *turn.Turn, at turn.Place, command string, l handoffv1.Leaving) {
	r := t.Make(at)
	r.Body = &handoffv1.Record_Asked{Asked: &handoffv1.Asked{QuestionId: command, Leaving: l}}
	t.Emit(schemas.TopicClassify, r)
}
