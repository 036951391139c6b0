package answer

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/stages/classify/fold"
)

func table(t testing.TB) *Table {
	t.Helper()
	tab, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func (t *Table) find(text string) (Answer, string) {
	folded := fold.Append(nil, text)
	a := t.Find(folded)
	return a, string(folded[a.Rest:])
}

func TestFind(t *testing.T) {
	tab := table(t)
	const (
		yes, no, weak, thanks, weakThanks, none = "yes", "no", "weak", "thanks", "weak thanks", "none"
		yesMore, noMore                         = "yes more", "no more"
	)
	for _, c := range []struct{ want, texts string }{
		{yes, "yes|YES!|Yep|yeah|yup|Yes please|yes pls|yes, thanks|yes thanks|Yes thank you so much!|sure|of course|ok yes|yesss|YEAHHH|👍|👍🏽|👍👍|y|um yes|oh yes please|yes, no problem|absolutely|go ahead|that would be great|sounds good, thanks|hi, yes please|Yes please 🙏|thanks, yes|yes!!! 😊|please do|hell yes|That'd be great!|I'd like that|why not"},
		{yes, "oui|Oui, merci|oui s'il vous plaît|d'accord|sí|Sí, por favor|si|claro que sí|ja|Ja, bitte|ja gerne|jawohl|sim|Sim, por favor|sì|certo|va bene, sì|ja graag|tak|Tak, poproszę|jasne|evet|Evet, lütfen|olur|はい|はい、お願いします|お願いします|はい！|好的|是的|可以|好的，谢谢|好|嗯"},
		{no, "no|No.|NO!!|nope|nah|no thanks|No, thank you|no thx|nooo|not now|👎|no no its alright|I'm good|im good thanks|never mind|nevermind|not really|no that's all|maybe later|don't|no need, thanks|ok no|No thanks, have a nice day!"},
		{no, "non|Non merci|no, gracias|No gracias!|nein|Nein, danke|não|Não, obrigado|no grazie|nee|nee bedankt|nie|Nie, dziękuję|hayır|Hayır, teşekkürler|いいえ|いいえ、結構です|結構です|不用了|不用了，谢谢|不|不要"},
		{weak, "ok|OK!|okay|fine|great|alright|ok please|vale|tamam|わかりました|please|cool"},
		{weakThanks, "ok thanks|Great, thank you!|perfect thanks 🙏|okay thank you very much|merci, parfait|vale gracias|thx 👍|👍 Thanks!|Great 👍 thank you|ok 👍🏽 gracias"},
		{thanks, "Thanks!|thank you|thx|ty|thanks so much!!|merci 🙏|🙏|Thank you very much, have a nice day|thanks for your help|gracias|Muchas gracias por todo|danke schön|obrigado|grazie mille|bedankt|dziękuję|teşekkürler|ありがとうございます|谢谢|thank you for all of your help|thanks for the refund!|thanks for getting back to me so quickly|gracias por su ayuda|merci pour votre aide|danke für die schnelle Antwort|thankssss|hi, thanks|much appreciated|thanks a lot, bye"},
		{none, "||thanks, but where is my order?|thanks but no|thanks for nothing|thanks for the broken jacket|thanks for your help, where is my order|for your help|your service|hello|where is my order|not sure|I'm not sure|yes no|yeah no|maybe|no problem|no worries|no one is answering|no refund yet?|No me llegó el pedido|no ha llegado|não recebi meu pedido|nie dostałem paczki|sure is taking long|si no llega hoy lo devuelvo|right now I need my money|ok but where is it|good luck with that|ja chcę zwrot|no tracking number|可以退货吗|不知道|Non ho ricevuto il pacco|non funziona|non c'è|没有收到货|不好意思，请问|不是我的尺码|不要的话能退吗|いやな匂いがする|got it|yesterday it came|nobody|know|okra|yesno|please help me|k thx bye now what"},
		{yesMore, "yes where is my order|Yes, I want to cancel it|yes please and also change my address|oui, et ma commande ?|yes but hurry|sí, ¿dónde está mi pedido?|はい、注文はどこですか|ok yes, where is it|Sure, when?|yeah my order never came|I'd love to speak to you, yes please"},
		{noMore, "no, where is my order|no i want my money back|No. Just cancel it|nope it's still broken|No, no me llegó|nein ich will mein Geld zurück|no where is it|no thanks just tell me where it is|いいえ、返品したいです"},
	} {
		for text := range strings.SplitSeq(c.texts, "|") {
			a, rest := tab.find(text)
			got := none
			switch {
			case a.Kind == Yes && a.Weak && a.Thanks:
				got = weakThanks
			case a.Kind == Yes && a.Weak:
				got = weak
			case a.Kind == Yes && rest != "":
				got = yesMore
			case a.Kind == Yes:
				got = yes
			case a.Kind == No && rest != "":
				got = noMore
			case a.Kind == No:
				got = no
			case a.Thanks:
				got = thanks
			}
			if got != c.want {
				t.Errorf("%q is %s (%+v, rest %q), want %s", text, got, a, rest, c.want)
			}
		}
	}
}

func TestRestIsWhatIsLeft(t *testing.T) {
	tab := table(t)
	for text, want := range map[string]string{
		"Yes please, where is my order?": "where is my order",
		"no i want my money back":        "i want my money back",
		"yes":                            "",
		"I like the idea, yes please":    "i like the idea\nyes please",
	} {
		if _, rest := tab.find(text); rest != want {
			t.Errorf("%q leaves %q, want %q", text, rest, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for doc, want := range map[string]string{
		"yes\ten":            "line 1",
		"#\nmaybe\ten\thmm":  "line 2",
		"yes\ten\tyes|!|yep": `phrase "!" is empty`,
	} {
		if _, err := Parse(doc); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) gives %v, want an error with %q", doc, err, want)
		}
	}
}

// Words that end a subscription never agree to anything, however they are combined.
func TestStopWordsNeverAnswer(t *testing.T) {
	tab := table(t)
	words := []string{"stop", "cancel", "end", "quit", "unsubscribe", "revoke", "stopall", "opt out", "arrêt", "baja", "停止", "退订"}
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.SampledFrom(words), 1, 4).Draw(t, "words")
		text := strings.Join(parts, rapid.SampledFrom([]string{" ", ", ", "! ", "\n"}).Draw(t, "between"))
		if a, _ := tab.find(text); a.Kind != None || a.Thanks {
			t.Fatalf("%q is read as %+v", text, a)
		}
	})
}

func FuzzFind(f *testing.F) {
	tab, err := Shipped()
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"yes", "no thanks", "はいお願いします", "👍", "ok thanks, bye", "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		folded := fold.Append(nil, text)
		a := tab.Find(folded)
		if a.Rest < 0 || a.Rest > len(folded) {
			t.Fatalf("rest of %q begins at %d of %d", folded, a.Rest, len(folded))
		}
		if a.Thanks && a.Kind == No || a.Weak && a.Kind != Yes {
			t.Fatalf("%q is read as %+v", text, a)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	tab := table(b)
	folded := fold.Append(nil, "Yes please, where is my order 1234?")
	b.ReportAllocs()
	for b.Loop() {
		tab.Find(folded)
	}
}
