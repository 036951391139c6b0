package classify

import (
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

// outside lets the shop's classifier outside place the message, where it was asked and is sure enough. It decides on
// the intent alone: keywords were read before it, and whether the message opts out, asks for a person or answers
// stays with what ships.
func (r *reading) outside(o *handoffv1.OutsideReading, sureFrom float32) {
	switch {
	case o == nil:
		return
	case o.GetFailed() != "":
		r.unread = o.GetClassifier() + ": " + o.GetFailed()
		return
	case !(o.GetConfidence() >= sureFrom):
		r.unread = o.GetClassifier() + ": not sure"
		return
	case r.in.AsksForPerson && r.in.Intent == intent.Human:
		return
	}
	r.out.Classifier += "+" + o.GetClassifier()
	r.in.Intent, r.in.Confidence, r.in.Because = o.GetIntent(), o.GetConfidence(), o.GetClassifier()
	r.in.Unsure = o.GetIntent() == ""
	r.in.OutOfScope = r.in.Unsure
}

// without adds to a reason why the shop's classifier outside had no part in it.
func (r *reading) without(reason string) string {
	if r.unread == "" {
		return reason
	}
	return reason + " (" + r.unread + ")"
}
