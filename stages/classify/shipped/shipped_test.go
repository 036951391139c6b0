package shipped

import (
	"os"
	"testing"

	"github.com/handoff-dev/handoff/stages/classify/corpus"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

func shippedClassifier(t testing.TB) *Classifier {
	t.Helper()
	c, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOptOuts(t *testing.T) {
	c := shippedClassifier(t)
	for want, texts := range map[intent.OptOut][]string{
		intent.OptOutClear: {
			"please stop texting me", "take me off your list", "stop texting me and refund order 4412", "no more messages please",
			"wrong number", "dejen de enviarme mensajes", "ich will keine SMS mehr", "不要再给我发短信", "退订短信",
		},
		intent.OptOutNone: {
			"stop sending me the wrong size", "cancel my order", "don't stop", "how do I unsubscribe a friend from the waitlist",
			"where is my order", "hi", "", "can you stop by tomorrow", "Anna", "42",
		},
	} {
		for _, text := range texts {
			if r := c.Read(text, ""); r.OptOut != want {
				t.Errorf("%q: opt-out %d by %q (%.2f), want %d", text, r.OptOut, r.OptOutBy, r.OptOutScore, want)
			}
		}
	}
}

// TestHeldBack keeps the figures of the model card: what was held back is read at least as well.
func TestHeldBack(t *testing.T) {
	c := shippedClassifier(t)
	messages, err := corpus.Judge(os.DirFS("../corpus"), corpus.Held)
	if err != nil {
		t.Fatal(err)
	}
	all, right, falseOptOuts := 0, 0, 0
	for _, m := range messages {
		r := c.Read(m.Text, "")
		switch m.Label {
		case corpus.OptOut, corpus.WrongNumber:
			continue
		case corpus.NotOptOut:
		default:
			all++
			if r.Intent == m.Label {
				right++
			}
		}
		if r.OptOut == intent.OptOutClear {
			falseOptOuts++
			t.Logf("%q is taken for an opt-out by %s (%.2f)", m.Text, r.OptOutBy, r.OptOutScore)
		}
	}
	if share := float64(right) / float64(all); share < 0.8 {
		t.Errorf("%d of %d intents are right (%.0f%%), want 80%%", right, all, 100*share)
	}
	if falseOptOuts > 1 {
		t.Errorf("%d false opt-outs", falseOptOuts)
	}
}
