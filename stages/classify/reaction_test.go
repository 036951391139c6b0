package classify

import (
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/stages/classify/answer"
)

// TestReactionsOfPhones: what phones write of a tap on a message, and what only looks like it.
func TestReactionsOfPhones(t *testing.T) {
	checkReactions(t, map[string]reaction{
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
	}, []string{
		"", "”", "“hello”", "I liked “the tent”", "Liked", "Liked hello", "yes to “hello”", "Reacted to “hello”", "Removed from “hello”",
		"where is my order \"4412\"", "I sent an image", "Loved it, send me a photo", "Liked “hello” a lot", "👍", " to “hello”",
	})
}

// checkReactions reads messages that are reactions, and others that are none.
func checkReactions(t *testing.T, reactions map[string]reaction, others []string) {
	t.Helper()
	taps, err := parseTaps(shippedReactions)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range reactions {
		if got, ok := taps.in(text); !ok || got != want {
			t.Errorf("%q: %+v, %t; want %+v", text, got, ok, want)
		}
	}
	for _, text := range others {
		if got, ok := taps.in(text); ok {
			t.Errorf("%q is taken for the reaction %+v", text, got)
		}
	}
}

// TestReactionsInOtherLanguages: as phones set to them write, and what people write themselves.
func TestReactionsInOtherLanguages(t *testing.T) {
	checkReactions(t, map[string]reaction{
		"Ha messo Mi piace a un’immagine":           {kind: answer.Yes},
		"Ha adorato un'immagine":                    {},
		"A aimé « STOP »":                           {kind: answer.Yes, to: " STOP "},
		"a aimé «\u00a0à demain\u00a0»":             {kind: answer.Yes, to: "\u00a0à demain\u00a0"},
		"N’a pas aimé « bof »":                      {kind: answer.No, to: " bof "},
		"A ri de « trop drôle… »":                   {to: " trop drôle… "},
		"S'est interrogé(e) sur « ok »":             {to: " ok "},
		"A réagi avec 👍🏽 à « lol »":                 {kind: answer.Yes, to: " lol "},
		"A réagi 😂 à « lol »":                       {to: " lol "},
		"a attribué la mention « J’aime » à « ok »": {kind: answer.Yes, to: " ok "},
		"a attribué la mention « Adore » à « ok »":  {to: " ok "},
		"A aimé une image":                          {kind: answer.Yes},
		"Le gustó “STOP”":                           {kind: answer.Yes, to: "STOP"},
		"No le gustó \"BAJA\"":                      {kind: answer.No, to: "BAJA"},
		"Le encantó una foto":                       {},
		"Gefällt „STOP“":                            {kind: answer.Yes, to: "STOP"},
		"Gefällt „STOP“ nicht":                      {kind: answer.No, to: "STOP"},
		"Hat „Stopp“ mit „Gefällt mir“ markiert":    {kind: answer.Yes, to: "Stopp"},
		"Hat über „Stopp“ gelacht":                  {to: "Stopp"},
		"Gostou de “SAIR”":                          {kind: answer.Yes, to: "SAIR"},
		"Ha messo “Mi piace” a “STOP”":              {kind: answer.Yes, to: "STOP"},
		"Vond ‘stop’ niet leuk":                     {kind: answer.No, to: "stop"},
		"Polubił(a) „STOP”":                         {kind: answer.Yes, to: "STOP"},
		"“DUR” iletisini beğendi":                   {kind: answer.Yes, to: "DUR"},
		"「停止」にいいねしました":                              {kind: answer.Yes, to: "停止"},
		"赞了“退订”":                                    {kind: answer.Yes, to: "退订"},
		"👍 à « Répondez STOP »":                     {kind: answer.Yes, to: " Répondez STOP "},
	}, []string{
		"J'ai aimé « la tente »", "Me gustó “la tienda”", "A aimé ça", "Mir gefällt „rot“", "喜欢“红色”", "« STOP »", "“stop”",
		"où est « 4412 »", "une image", "J'envoie une image", "stop “promo”", "„",
	})
}

// TestParseTapsRefuses a table that is wrong, with the line.
func TestParseTapsRefuses(t *testing.T) {
	for _, table := range []string{"like\tfr", "liked\tfr\tA aimé …", "like\tfr\tA aimé", "sign\tfr\tA réagi à …", "like\tfr\t…"} {
		if _, err := parseTaps("# remark\n" + table); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v", table, err)
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
