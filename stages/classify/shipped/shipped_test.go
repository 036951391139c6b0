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

// TestReadsWhatItLearned keeps the model in step with what it is made of: messages of its training, each author's,
// are read as they are labelled. What strangers' messages get is in the model card.
func TestReadsWhatItLearned(t *testing.T) {
	c := shippedClassifier(t)
	messages, err := corpus.Open(os.DirFS("../corpus"), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	type count struct{ optOuts, taken, others, wrongly, intents, right int }
	authors := map[string]*count{}
	for _, m := range messages.Messages {
		if m.Author == "" {
			continue
		}
		of := authors[m.Author]
		if of == nil {
			of = &count{}
			authors[m.Author] = of
		}
		r := c.Read(m.Text, "")
		switch m.Label {
		case corpus.OptOut, corpus.WrongNumber:
			of.optOuts++
			if r.OptOut == intent.OptOutClear {
				of.taken++
			}
			continue
		case corpus.NotOptOut, corpus.None:
		default:
			of.intents++
			if r.Intent == m.Label {
				of.right++
			}
		}
		of.others++
		if r.OptOut == intent.OptOutClear {
			of.wrongly++
		}
	}
	for author, of := range authors {
		if of.taken*100 < of.optOuts*75 || of.wrongly*100 > of.others || of.right*100 < of.intents*85 {
			t.Errorf("author %s: %+v, want 75%% of the opt-outs taken, 1%% of others, 85%% of intents right", author, *of)
		}
	}
}
