package classify

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// became tells classify what became of a text.
func (w *world) became(id string, l handoffv1.Leaving) {
	w.t.Helper()
	r := w.record()
	r.Body = &handoffv1.Record_Asked{Asked: &handoffv1.Asked{QuestionId: id, Leaving: l}}
	if err := w.step(r); err != nil {
		w.t.Fatal(err)
	}
}

// ends tells classify that an offer ended now.
func (w *world) ends(id string) {
	w.t.Helper()
	r := w.record()
	r.Body = &handoffv1.Record_Asked{Asked: &handoffv1.Asked{Question: offer, QuestionId: id, Until: timestamppb.New(w.now)}}
	if err := w.step(r); err != nil {
		w.t.Fatal(err)
	}
}

// TestTextsThatDidNotLeaveAskNothing: a yes answers the last question that left, and what never did closes nothing.
func TestTextsThatDidNotLeaveAskNothing(t *testing.T) {
	const waits, left, not = handoffv1.Leaving_LEAVING_WAITS, handoffv1.Leaving_LEAVING_LEFT, handoffv1.Leaving_LEAVING_NOT_SENT
	for name, c := range map[string]struct {
		asked []handoffv1.Question // texts "1", "2" …
		then  []string             // "2 waits" …
		want  string               // the text that yes answers; "" for none
	}{
		"the offer was refused":            {[]handoffv1.Question{offer}, []string{"1 not"}, ""},
		"what followed it was refused":     {[]handoffv1.Question{offer, nothing}, []string{"2 not"}, "1"},
		"one of two that followed it":      {[]handoffv1.Question{offer, nothing, nothing}, []string{"2 not"}, ""},
		"both":                             {[]handoffv1.Question{offer, nothing, nothing}, []string{"3 not", "2 not"}, "1"},
		"a question between two":           {[]handoffv1.Question{other, offer, optIn}, []string{"3 not", "2 not"}, "1"},
		"the offer waits":                  {[]handoffv1.Question{other, offer}, []string{"2 waits"}, "1"},
		"it waited and has left":           {[]handoffv1.Question{other, offer}, []string{"2 waits", "2 left"}, "2"},
		"it waited in vain":                {[]handoffv1.Question{other, offer}, []string{"2 waits", "2 not"}, "1"},
		"what waits leaves in order":       {[]handoffv1.Question{other, offer, nothing}, []string{"2 waits", "3 waits", "2 left", "3 left"}, ""},
		"of two that wait the first left":  {[]handoffv1.Question{other, offer, nothing}, []string{"2 waits", "3 waits", "2 left"}, "2"},
		"said twice":                       {[]handoffv1.Question{other, offer}, []string{"2 waits", "2 waits", "2 left", "2 left"}, ""},
		"nothing was open":                 {[]handoffv1.Question{nothing, nothing}, []string{"1 not", "2 waits", "2 left"}, ""},
		"a text that nobody knows was not": {[]handoffv1.Question{offer}, []string{"9 not", "8 waits"}, "1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for i, q := range c.asked {
				w.asks(q, fmt.Sprint(i+1), time.Hour)
			}
			for _, what := range c.then {
				w.became(what[:1], map[string]handoffv1.Leaving{"waits": waits, "left": left, "not": not}[what[2:]])
			}
			if got := w.says("yes").GetQuestionId(); got != c.want {
				t.Errorf("yes answers %q, want %q", got, c.want)
			}
			if got := w.says("yes").GetQuestionId(); got != "" {
				t.Errorf("and a second yes %q", got)
			}
		})
	}
}

// TestAnOfferThatEndedEarlyIsAnsweredNoMore: neither by a bare yes nor by words that name it, and whatever else was asked
// stays as it was.
func TestAnOfferThatEndedEarlyIsAnsweredNoMore(t *testing.T) {
	for name, c := range map[string]struct {
		asked []handoffv1.Question // texts "1", "2" …
		over  string
		says  string
		want  string // the text that it answers; "" for none
	}{
		"a bare yes":                 {[]handoffv1.Question{offer}, "1", "yes", ""},
		"words that name it":         {[]handoffv1.Question{offer, nothing}, "1", "yes, connect me with your team", ""},
		"what was asked after it":    {[]handoffv1.Question{offer, other}, "1", "yes", "2"},
		"what was asked before it":   {[]handoffv1.Question{other, offer}, "2", "yes", ""},
		"an offer that nobody knows": {[]handoffv1.Question{offer}, "9", "yes", "1"},
		"the one before it":          {[]handoffv1.Question{offer, offer}, "1", "yes", "2"},
		"the one after it":           {[]handoffv1.Question{offer, offer}, "2", "yes", ""},
		"nothing was asked":          {nil, "1", "yes", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for i, q := range c.asked {
				w.asks(q, fmt.Sprint(i+1), time.Hour)
			}
			w.now = w.now.Add(time.Minute)
			w.ends(c.over)
			w.now = w.now.Add(time.Minute)
			if got := w.says(c.says).GetQuestionId(); got != c.want {
				t.Errorf("%q answers %q, want %q", c.says, got, c.want)
			}
		})
	}
}

// TestAnOfferIsAcceptedByWordsHoweverMuchFollowed: what is remembered of a conversation is bounded, and the offer is
// not what is forgotten.
func TestAnOfferIsAcceptedByWordsHoweverMuchFollowed(t *testing.T) {
	w := newWorld(t)
	w.asks(offer, "offer", time.Hour)
	for i := range 3 * mostTexts {
		w.asks(nothing, fmt.Sprint("text ", i), 0)
	}
	c := &statev1.ClassifyConversation{}
	if err := schemas.Unmarshal(w.entries[conversationPrefix+schemas.Conversation(w.channel, w.account)], c); err != nil {
		t.Fatal(err)
	}
	if n := len(c.GetTexts()); n > mostTexts {
		t.Errorf("%d texts are remembered, want at most %d", n, mostTexts)
	}
	for i := range 3 * mostTexts { // those that are still known can be taken back; the rest was sent
		w.became(fmt.Sprint("text ", i), handoffv1.Leaving_LEAVING_NOT_SENT)
	}
	if got := w.says("yes").GetQuestionId(); got != "" {
		t.Errorf("a bare yes answers %q", got)
	}
	if got := w.says("connect me with your team").GetQuestionId(); got != "offer" {
		t.Errorf("words that name the handoff answer %q", got)
	}
}

// TestNothingIsKeptWhereNothingCanBeAnswered: texts that ask nothing cost nothing, and a question whose time is over
// is forgotten.
func TestNothingIsKeptWhereNothingCanBeAnswered(t *testing.T) {
	w := newWorld(t)
	w.asks(nothing, "1", 0)
	if len(w.entries) != 0 {
		t.Error("a text that asks nothing is remembered")
	}
	w.asks(other, "2", time.Minute)
	w.now = w.now.Add(time.Hour)
	w.asks(nothing, "3", 0)
	c := &statev1.ClassifyConversation{}
	if err := schemas.Unmarshal(w.entries[conversationPrefix+schemas.Conversation(w.channel, w.account)], c); err != nil {
		t.Fatal(err)
	}
	if len(c.GetTexts()) != 0 {
		t.Errorf("%d texts are remembered", len(c.GetTexts()))
	}
}

// TestQuestionsFromBeforeTextsWereKept: what the version before wrote is read.
func TestQuestionsFromBeforeTextsWereKept(t *testing.T) {
	for _, c := range []struct {
		was       *statev1.ClassifyConversation
		says      string
		want      string
		wantAfter string
	}{
		{&statev1.ClassifyConversation{Last: question(offer, "a"), Offer: question(offer, "a")}, "yes", "a", ""},
		{&statev1.ClassifyConversation{Last: question(other, "b"), Offer: question(offer, "a")}, "yes", "b", "a"},
		{&statev1.ClassifyConversation{Offer: question(offer, "a")}, "yes", "", "a"},
		{&statev1.ClassifyConversation{Offer: question(offer, "a")}, "connect me with your team", "a", ""},
	} {
		w := newWorld(t)
		value, err := c.was.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		w.entries[conversationPrefix+schemas.Conversation(w.channel, w.account)] = value
		if got := w.says(c.says).GetQuestionId(); got != c.want {
			t.Errorf("%v: %q answers %q, want %q", c.was, c.says, got, c.want)
		}
		if got := w.says("connect me with your team").GetQuestionId(); got != c.wantAfter {
			t.Errorf("%v: words that name it answer %q, want %q", c.was, got, c.wantAfter)
		}
	}
}

func question(q handoffv1.Question, id string) *statev1.OpenQuestion {
	return &statev1.OpenQuestion{Question: q, Id: id}
}
