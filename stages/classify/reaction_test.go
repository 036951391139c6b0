package classify

import (
	"testing"

	"github.com/handoff-dev/handoff/stages/classify/answer"
)

// TestReactionsOfPhones: what phones write of a tap on a message, and what only looks like it.
func TestReactionsOfPhones(t *testing.T) {
	for text, want := range map[string]reaction{
		"Liked “hello”":                              {kind: answer.Yes, to: "hello"},
		"Liked \"hello\"":                            {kind: answer.Yes, to: "hello"},
		" Disliked “hello” ":                         {kind: answer.No, to: "hello"},
		"Loved “he said “hi””":                       {to: "he said “hi”"},
		"Reacted 👍 to “hello”":                       {kind: answer.Yes, to: "hello"},
		"Reacted 👍🏽 to “hello”":                      {kind: answer.Yes, to: "hello"},
		"Reacted ❤️ to “hello”":                      {to: "hello"},
		"Reacted 👎 to “hello”":                       {kind: answer.No, to: "hello"},
		"\u200b👍\u200b to “\u200bhello\u200b”":       {kind: answer.Yes, to: "\u200bhello\u200b"},
		"👍🏿 to “\u200ahello\u200a”":                  {kind: answer.Yes, to: "\u200ahello\u200a"},
		"😂 to “hello”":                               {to: "hello"},
		"‼️ to “hello”":                              {to: "hello"},
		"Removed 👍 from “hello”":                     {to: "hello"},
		"Removed a like from “hello”":                {to: "hello"},
		"Loved an image":                             {},
		"Liked a movie":                              {kind: answer.Yes},
		"Laughed at an audio message":                {},
		"Questioned “Do you want us to call you…”":   {to: "Do you want us to call you…"},
		"Liked “Reply STOP to opt out. Or a “word””": {kind: answer.Yes, to: "Reply STOP to opt out. Or a “word”"},
	} {
		if got, ok := reactionIn(text); !ok || got != want {
			t.Errorf("%q: %+v, %t; want %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "”", "“hello”", "I liked “the tent”", "Liked", "Liked hello", "yes to “hello”", "Reacted to “hello”", "Removed from “hello”",
		"where is my order \"4412\"", "I sent an image", "Loved it, send me a photo", "Liked “hello” a lot", "👍", " to “hello”",
	} {
		if got, ok := reactionIn(text); ok {
			t.Errorf("%q is taken for the reaction %+v", text, got)
		}
	}
}

// TestALikeOfTheOfferIsYesWhateverFollowed: it names what it is to, as words that name the handoff do.
func TestALikeOfTheOfferIsYesWhateverFollowed(t *testing.T) {
	quoting := func(w *world, how string) string {
		shop, err := w.At("acme", 1)
		if err != nil {
			t.Fatal(err)
		}
		return how + " “" + shop.Text("offer", "") + "”"
	}
	w := newWorld(t)
	w.asks(offer, "offer", 0)
	w.asks(nothing, "bot", 0)
	c := w.says(quoting(w, "Liked"))
	if c.GetDirective() != yes || c.GetQuestionId() != "offer" {
		t.Errorf("read as %v", c)
	}
	if c = w.says(quoting(w, "Disliked")); c.GetDirective() != none || !c.GetThanksOnly() {
		t.Errorf("with no offer left: %v", c)
	}
}
