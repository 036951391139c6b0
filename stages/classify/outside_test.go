package classify

import (
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

// readWith processes a message with a reading from outside and returns what classify makes of it, and why.
func (w *world) readWith(text string, o *handoffv1.OutsideReading) (*handoffv1.Classification, string) {
	w.t.Helper()
	r := w.record()
	r.Body = &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{NativeId: "n", Text: text, OutsideReading: o}}
	if err := w.step(r); err != nil {
		w.t.Fatal(err)
	}
	facts := w.posted(schemas.TopicAnalytics)
	return w.posted(schemas.TopicConsent)[0].GetCustomerMessage().GetClassification(), facts[0].GetFact().GetReason()
}

func TestOutsideReading(t *testing.T) {
	rental := &handoffv1.OutsideReading{Classifier: "intents.test/small", Intent: "rental", Confidence: 0.9}
	for name, c := range map[string]struct {
		text   string
		o      *handoffv1.OutsideReading
		want   string
		stop   bool
		by     string
		reason string
	}{
		"none":                         {text: "where is my order", want: intent.OrderStatus, by: "handoff/1"},
		"sure":                         {text: "where is my order", o: rental, want: "rental", by: "handoff/1+intents.test/small", reason: "intents.test/small"},
		"not sure":                     {text: "where is my order", o: &handoffv1.OutsideReading{Classifier: "x", Intent: "rental", Confidence: 0.4}, want: intent.OrderStatus, by: "handoff/1", reason: "(x: not sure)"},
		"failed":                       {text: "where is my order", o: &handoffv1.OutsideReading{Classifier: "x", Failed: "timeout"}, want: intent.OrderStatus, by: "handoff/1", reason: "(x: timeout)"},
		"none fits":                    {text: "where is my order", o: &handoffv1.OutsideReading{Classifier: "x", Confidence: 0.9}, by: "handoff/1+x", reason: "not placed"},
		"a keyword":                    {text: "STOP", o: rental, stop: true, by: "handoff/1"},
		"a plain opt-out":              {text: "please stop texting me", o: rental, stop: true, by: "handoff/1+intents.test/small"},
		"thanks":                       {text: "thank you!", o: rental, want: intent.Thanks, by: "handoff/1+intents.test/small"},
		"who asks for a person":        {text: "I want to talk to a human", o: rental, want: intent.Human, by: "handoff/1"},
		"an opt-out and what it wants": {text: "stop texting me and refund order 4412", o: &handoffv1.OutsideReading{Classifier: "x", Intent: intent.ReturnRefund, Confidence: 1}, stop: true, by: "handoff/1+x"},
	} {
		t.Run(name, func(t *testing.T) {
			got, reason := newWorld(t).readWith(c.text, c.o)
			if isStop := got.GetDirective() == stop; isStop != c.stop || got.GetClassifier() != c.by || !c.stop && got.GetIntent() != c.want {
				t.Errorf("%q is read as %v, want intent %q by %q, stop %v", c.text, got, c.want, c.by, c.stop)
			}
			if !strings.Contains(reason, c.reason) {
				t.Errorf("the reason is %q, want %q in it", reason, c.reason)
			}
		})
	}
}
