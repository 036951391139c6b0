package shipped

import (
	"os"
	"strings"
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

// TestOptOutsInDoubt: who speaks of goods in the words of an opt-out, or says one word that means something else too, is
// taken for none; a person may be asked (C5).
func TestOptOutsInDoubt(t *testing.T) {
	c := shippedClassifier(t)
	for _, text := range []string{
		"you should stop selling this junk", "quit selling knockoffs", "deberían dejar de vender esa basura",
		"vous devriez arrêter de vendre ça", "hört auf so einen Mist zu verkaufen", "你们别再卖假货了",
		"I don't want these boots anymore", "nie chcę więcej takich butów", "nie chcę więcej tych kubków",
		"bu ceketi artık istemiyorum", "die Schuhe interessieren mich nicht mehr", "le scarpe non mi interessano più",
		"removed", "off", "out", "leave", "blocked", "spam", "shush", "messages", "permission", "wrong", "numéro", "señor",
	} {
		if r := c.Read(text, ""); r.OptOut == intent.OptOutClear {
			t.Errorf("%q: taken by %q (%.2f)", text, r.OptOutBy, r.OptOutScore)
		}
	}
	for _, text := range []string{
		"basta", "stahp", "unsubscirbe", "quítenme", "koniec", "yeter", "smsやめて", "🛑", "désabonnez",
		"nie chcę więcej reklam", "I got the shoes, now stop texting me", "quiero darme d baja",
	} {
		if r := c.Read(text, ""); r.OptOut != intent.OptOutClear {
			t.Errorf("%q: opt-out %d by %q (%.2f), want it taken", text, r.OptOut, r.OptOutBy, r.OptOutScore)
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

// TestWishes: who wants more texts opts out of nothing, and who wants none beside an order, or of a newsletter, is not
// overheard (C5).
func TestWishes(t *testing.T) {
	c := shippedClassifier(t)
	for want, texts := range map[intent.OptOut][]string{
		intent.OptOutNone: {
			"please don't stop texting me", "don't stop sending these", "Please do not stop messaging me, I love the deals",
			"never stop texting me", "don't unsubscribe me", "I don't want you to stop texting me", "don't take me off your list",
			"don't stop texting me but stop the emails", "don't stop texting me. where is my order?",
			"Por favor no dejen de escribirme", "no paren de mandar ofertas", "no me den de baja",
			"svp n'arrêtez pas vos messages", "ne me désabonnez pas", "bitte hört nicht auf mir zu schreiben",
			"hören Sie bitte nicht auf, mir zu schreiben", "meldet mich bitte nicht ab", "não parem de me mandar mensagens",
			"por favor não me descadastrem", "non smettete di scrivermi", "non cancellatemi dalla lista",
			"stop alsjeblieft niet met sms'en", "nie przestawajcie do mnie pisać", "proszę nie wypisujcie mnie",
			"lütfen mesaj atmayı bırakmayın", "mesajları kesmeyin", "メッセージをやめないでください", "配信を停止しないでください",
			"请不要停止发短信", "不要退订我", "unsubscribe me from your e-mails", "how do I unsubscribe from your membership",
			"did I opt out by accident? I still want messages", "it says Reply STOP to unsubscribe but I want to keep getting texts",
			"Can I unsubscribe from auto-ship but keep the texts?", "I texted STOP by mistake",
			"\"You're unsubscribed and will get no more texts\" why did I get this? I want the texts",
		},
		intent.OptOutPossible: {
			"unsubscribe me from the newsletter but where is my order?", "take me off the newsletter",
			"dame de baja del boletín, pero ¿dónde está mi pedido?", "meldet mich vom Newsletter ab, aber wo ist meine Bestellung?",
			"désabonnez-moi de la newsletter mais où est ma commande ?", "wypiszcie mnie z newslettera, ale gdzie jest moje zamówienie?",
			"disiscrivetemi dalla newsletter ma dov'è il mio ordine?", "schrijf me uit voor de nieuwsbrief maar waar is mijn bestelling?",
			"me descadastre da newsletter, mas cadê meu pedido?",
		},
		intent.OptOutClear: {
			"why don't you stop texting me", "why do you not stop texting me", "if you don't stop texting me I'll report you",
			"stop texting me, don't stop my order though", "don't stop texting me!! Actually stop texting me",
			"si no dejan de escribirme los denuncio", "I want to keep getting emails, stop the texts", "jullie stoppen niet met sms'en, haal me van de lijst",
			"unsubscribe me and where is my order 4412?", "take me off your list and refund order 4412",
			"opt me out but where's my refund", "给我退订，但我的订单在哪？",
			"Stop texting me. Where is my package?", "Please stop texting me. My refund is still missing.",
			"Don't text me again. I want my money back", "Unsubscribe. Also the zipper on my jacket broke", "Unsubscribe and cancel order 4412",
			"Arrêtez de m'envoyer des SMS et remboursez ma commande", "Hört auf mir zu schreiben und storniert Bestellung 4412",
			"Pare de me mandar mensagens e cancele meu pedido 55", "Stop met appen en annuleer bestelling 12",
			"Przestańcie pisać i zwróćcie pieniądze za zamówienie 44", "Mesaj atmayı bırakın ve siparişimi iptal edin",
			"别再发短信了，订单4412请退款", "Abmelden. Und wo ist meine Bestellung?",
		},
	} {
		for _, text := range texts {
			if r := c.Read(text, ""); r.OptOut != want {
				t.Errorf("%q: opt-out %d by %q (%.2f), want %d", text, r.OptOut, r.OptOutBy, r.OptOutScore, want)
			}
		}
	}
}

// TestEveryWishIsFound: none is passed over for how it begins.
func TestEveryWishIsFound(t *testing.T) {
	w, err := parseWishes(shippedWishes)
	if err != nil {
		t.Fatal(err)
	}
	for _, all := range [][]phrase{w.more, w.none} {
		for i := range all {
			for _, before := range []string{"", "hello\n"} {
				if text := before + string(all[i].text); !w.speak([]byte(text), false) {
					t.Errorf("%q is not found", text)
				}
			}
		}
	}
}

// TestParseWishesRefuses a table that is wrong, with the line.
func TestParseWishesRefuses(t *testing.T) {
	for _, table := range []string{"more\ten\tnot", "less\ten\tnot\tstop", "more\ten\tif\tdont stop", "more\ten\tnot\tdont. stop", "more\ten\tnot\t", "more\ten\tnot\tstop"} {
		if _, err := parseWishes("# remark\n" + table); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v", table, err)
		}
	}
}
