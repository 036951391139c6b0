package rules

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

// reader reads messages by the shipped rules and words.
type reader struct {
	rules *Rules
	words *words.Table
}

func shipped(t testing.TB) reader {
	t.Helper()
	w, err := words.Shipped()
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(w)
	if err != nil {
		t.Fatal(err)
	}
	return reader{r, w}
}

// Read places one message.
func (r reader) Read(text string) intent.Reading {
	var m words.Meanings
	folded := fold.String(text)
	r.words.Read(&m, []byte(folded))
	return r.rules.Read(&m, []byte(folded), text)
}

func TestIntents(t *testing.T) {
	c := shipped(t)
	for want, texts := range map[string][]string{
		intent.OrderStatus: {
			"Where is my order?", "wheres my package", "When will my order arrive?", "my order hasn't arrived yet", "order status",
			"Can you track order 12345", "I still haven't received my parcel", "any update on my delivery?", "wher is my oder",
			"how long until it ships", "I ordered two weeks ago and nothing", "いつ届きますか", "什么时候发货", "still waiting for my order", "has my order shipped?", "it was supposed to be here yesterday", "did you ship it", "can I get the tracking link",
			"¿Dónde está mi pedido?", "Mi paquete no ha llegado", "Où est ma commande ?", "je n'ai pas reçu mon colis", "Wo ist meine Bestellung?",
			"Mein Paket ist noch nicht da", "Onde está meu pedido?", "Dov'è il mio ordine?", "il pacco non è arrivato", "Waar is mijn bestelling?",
			"Gdzie jest moja paczka?", "Siparişim nerede?", "kargom gelmedi", "注文はどこですか？", "荷物が届かない", "我的订单到哪里了？", "还没收到货",
		},
		intent.CancelOrder: {
			"Cancel my order", "I want to cancel order 4412", "pls cancle my oder", "can you cancel it? I changed my mind", "I need to cancel my purchase",
			"canceling my order #55", "I don't want this order anymore, cancel it", "is it too late to cancel my order",
			"Quiero cancelar mi pedido", "je veux annuler ma commande", "Ich möchte meine Bestellung stornieren", "quero cancelar meu pedido",
			"voglio annullare l'ordine", "ik wil mijn bestelling annuleren", "chcę anulować zamówienie", "siparişimi iptal etmek istiyorum", "注文をキャンセルしたい", "我想取消订单",
		},
		intent.ReturnRefund: {
			"I want a refund", "how do I return these shoes", "I want my money back", "can I exchange this for a larger size", "refnd please", "what is your return policy", "I haven't received my refund yet", "when will i get my refund?", "how do i send these back?", "can I swap this for a bigger size", "do you accept returns on sale items",
			"quiero devolver el producto", "je voudrais un remboursement", "Ich möchte das zurückgeben", "quero reembolso", "vorrei un rimborso", "ik wil dit retourneren",
			"chcę zwrócić buty", "iade etmek istiyorum", "返品したいです", "返金してください", "我要退货", "退款",
		},
		intent.OrderIssue: {
			"The jacket arrived damaged", "I got the wrong item", "an item is missing from my order", "the zipper is broken", "you sent me the wrong size", "it doesn't work",
			"I was charged twice", "change the address on my order", "my order is incomplete", "the box was empty", "you forgot the poles", "I got someone else's package", "my card was charged but there is no order",
			"My package says delivered but it's not here", "my package never arrived", "i got a small but ordered large", "item doesn't match the description", "it says delivered but I never got it", "my parcel is lost", "nunca llegó mi paquete", "mon colis n'est jamais arrivé",
			"mein Paket ist nie angekommen",
			"llegó roto", "j'ai reçu le mauvais article", "Der Artikel ist kaputt", "o produto veio quebrado", "è arrivato rotto", "verkeerde product ontvangen",
			"produkt jest uszkodzony", "ürün kırık geldi", "商品が壊れていました", "发错货了",
		},
		intent.Complaint: {
			"I want to file a complaint", "this is unacceptable", "worst service ever", "this is a joke", "I'm never shopping here again", "I'm very disappointed with your company", "your service is terrible", "your customer service sucks", "this is ridiculous, I've been waiting for weeks", "nobody answers my emails",
			"quiero poner una queja", "je veux porter plainte", "Ich möchte mich beschweren", "quero fazer uma reclamação", "voglio fare un reclamo", "ik heb een klacht",
			"rezalet bir firma", "最悪です", "我要投诉",
		},
		intent.Human: {
			"I want to talk to a human", "agent", "speak to a representative please", "can I talk to someone", "connect me to an agent", "get me a real person", "human please",
			"let me speak with your manager", "I need to speak to customer service", "Is there a human I can talk to?", "no bots, real person", "reprsentative", "talk to a person",
			"quiero hablar con un agente", "je veux parler à un conseiller", "Ich möchte mit einem Menschen sprechen", "quero falar com um atendente", "vorrei parlare con un operatore",
			"ik wil een medewerker spreken", "chcę rozmawiać z konsultantem", "temsilciyle görüşmek istiyorum", "オペレーターと話したい", "转人工", "我要人工客服",
		},
		intent.ProductQuestion: {
			"Do you have this in blue?", "is this jacket waterproof", "what sizes do you carry", "how much is the tent", "when will it be back in stock", "do you ship to Canada?", "any discount codes?",
			"¿Tienen tallas grandes?", "avez-vous cette veste en noir ?", "Haben Sie das in Größe M?", "qual o preço?", "quanto costa la giacca?", "防水ですか", "有货吗", "多少钱",
		},
		intent.Greeting: {"hi", "Hello!", "hey there", "good morning", "hola", "bonjour", "Guten Tag", "olá", "ciao", "hallo", "cześć", "merhaba", "こんにちは", "你好"},
		intent.Spam:     {"Earn $5000 per day from home! Click here http://bit.ly/x", "We offer SEO services to rank your website on Google", "crypto investment guaranteed income"},
		intent.Other:    {"I forgot my password", "send me the invoice", "unsubscribe me from the newsletter please", "are you a robot?", "how are you", "I have a question", "can you help me", "I want to leave feedback"},
	} {
		for _, text := range texts {
			if r := c.Read(text); r.Intent != want || r.Unsure {
				t.Errorf("%q is %q (%.2f, unsure %v, %s), want %s", text, r.Intent, r.Confidence, r.Unsure, r.Because, want)
			}
		}
	}
}

func TestUnsure(t *testing.T) {
	c := shipped(t)
	for _, text := range []string{
		"", "asdf qwer", "the blue one", "42", "purple monkey dishwasher", "hmm let me think about that", "it is what it is", "My cousin likes trains",
		"lorem ipsum dolor", "dont cancel", "??", "🤷", "blah blah blah", "who is this", "what do you mean", "ceci n'est pas",
	} {
		if r := c.Read(text); !r.Unsure || r.Intent != "" {
			t.Errorf("%q is %q (%.2f, %s), want unsure", text, r.Intent, r.Confidence, r.Because)
		}
	}
}

func TestNegation(t *testing.T) {
	c := shipped(t)
	for text, not := range map[string]string{
		"please don't cancel my order":         intent.CancelOrder,
		"I don't want to cancel the order":     intent.CancelOrder,
		"I do not want a refund":               intent.ReturnRefund,
		"no need to talk to a human":           intent.Human,
		"I don't want to talk to a person":     intent.Human,
		"I spoke to an agent yesterday":        intent.Human,
		"the delivery person left it outside":  intent.Human,
		"no quiero cancelar mi pedido":         intent.CancelOrder,
		"ich möchte nicht stornieren":          intent.CancelOrder,
		"it isn't broken":                      intent.OrderIssue,
		"you're not the worst, it's fine":      intent.Complaint,
		"my agent told me it would be here":    intent.Human,
		"I already talked to customer service": intent.Human,
	} {
		if r := c.Read(text); r.Intent == not {
			t.Errorf("%q is %s by %s", text, not, r.Because)
		}
	}
}

func TestAsksForPerson(t *testing.T) {
	c := shipped(t)
	for _, text := range []string{
		"I want to talk to a human", "connect me", "please connect me with your team", "transfer me to support", "agent!!", "can someone call me", "cancel my order and get me an agent", "I don't want to talk to a bot",
		"speak to a manager now", "yes, connect me please", "I need a real person", "LET ME TALK TO A HUMAN", "live agent", "No! I want a person", "I'd like to speak with someone about my refund",
		"pásame con un agente", "je veux parler à quelqu'un", "verbinden Sie mich bitte", "quero falar com alguém", "vorrei parlare con qualcuno", "人工", "担当者に繋いでください", "beni temsilciye bağlayın",
	} {
		if !c.Read(text).AsksForPerson {
			t.Errorf("%q does not ask for a person", text)
		}
	}
	for _, text := range []string{
		"where is my order", "I don't want to talk to a human", "the agent told me to wait", "are you a real person?", "am I speaking with a real person", "could you be a real person", "I spoke to someone yesterday", "someone stole my package",
		"no one answers", "is this for a tall person?", "can someone help me", "thanks", "yes", "cancel", "my customer account", "how do I contact the courier",
	} {
		if r := c.Read(text); r.AsksForPerson {
			t.Errorf("%q asks for a person (%s)", text, r.Because)
		}
	}
}

func TestSentiment(t *testing.T) {
	c := shipped(t)
	for _, g := range []struct {
		low, high float32
		texts     []string
	}{
		{-1, -0.8, []string{"This is the worst service ever, I hate you", "TERRIBLE!! You are thieves!!", "absolutely disgusting, what a scam", "fucking useless garbage", "c'est une honte, bande de voleurs", "最悪、ひどい詐欺だ", "Betrug! Das ist eine Frechheit!"}},
		{-0.8, -0.2, []string{"I'm disappointed", "this is bad", "it's terrible", "I'm not happy"}},
		{-0.2, 0.2, []string{"where is my order", "do you have size M", "I want a refund", ""}},
		{0.2, 1, []string{"thanks, great service!", "I love it, it's perfect", "you are awesome", "not bad, really good"}},
	} {
		for _, text := range g.texts {
			if s := c.Read(text).Sentiment; s < g.low || s > g.high {
				t.Errorf("%q has sentiment %.2f, want %.1f to %.1f", text, s, g.low, g.high)
			}
		}
	}
}

func TestReadIsBounded(t *testing.T) {
	c := shipped(t)
	for _, text := range []string{strings.Repeat("cancel my order ", 5000), strings.Repeat("订单", 9000), strings.Repeat("a", 100000), strings.Repeat("!\n", 9000)} {
		c.Read(text)
	}
}

func FuzzRead(f *testing.F) {
	c := shipped(f)
	for _, s := range []string{"where is my order", "注文はどこ", "don't", "\xff\xfe", "cancel my order!!"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { check(t, c, text) })
}

func check(t interface{ Fatalf(string, ...any) }, c reader, text string) {
	r := c.Read(text)
	if r.Unsure != (r.Intent == "") || r.Confidence < 0 || r.Confidence > 1 || r.Sentiment < -1 || r.Sentiment > 1 {
		t.Fatalf("%q is read as %+v", text, r)
	}
	if again := c.Read(text); again != r {
		t.Fatalf("%q is read as %+v, then as %+v", text, r, again)
	}
}

func TestReadingHolds(t *testing.T) {
	c := shipped(t)
	var all []string
	for line := range strings.Lines(words.Lexicon()) {
		if columns := strings.Split(strings.TrimSpace(line), "\t"); len(columns) == 3 {
			all = append(all, strings.Split(strings.ReplaceAll(columns[2], "*", ""), "|")...)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(all), 0, 30).Draw(t, "words"), " ")
		check(t, c, text)
	})
}

// TestMay: a rule that holds is among those that are looked at, whatever the message holds.
func TestMay(t *testing.T) {
	c := shipped(t)
	rapid.Check(t, func(t *rapid.T) {
		m := message{Meanings: &words.Meanings{}}
		for _, k := range rapid.SliceOfN(rapid.IntRange(0, 127), 0, 12).Draw(t, "concepts") {
			at := uint8(m.Found)
			m.Hits[m.Found] = words.Hit{Concept: words.Concept(k), From: at, To: at}
			m.Found++
		}
		m.Words = m.Found
		m.negate(c.rules.neg)
		may, some := c.rules.may(&m), false
		for i := range c.rules.rules {
			if c.rules.rules[i].holds(&m, c.rules.neg) && may[i/64]>>(i%64)&1 == 0 {
				t.Errorf("%q holds and is not looked at", c.rules.rules[i].text)
			}
			some = some || may[i/64]>>(i%64)&1 == 0
		}
		if !some {
			t.Errorf("every rule is looked at")
		}
	})
}

func TestParseRefuses(t *testing.T) {
	const concepts = "NEG\ten\tnot\nSTRONGNEG\ten\tx\nMILDNEG\ten\tx\nPOS\ten\tx\nSTRONGPOS\ten\tx\nINTENS\ten\tx\nORDER\ten\torder*\n"
	for _, g := range []struct{ words, rules, want string }{
		{"ORDER\ten\torder", "", "no concept NEG"},
		{"NEG\ten\tnot", "", "no concept "},
		{concepts, "human\t0.5", "rules line 1: 2 columns"},
		{concepts, "#\nhumans\t0.5\tORDER", `rules line 2: unknown intent "humans"`},
		{concepts, "human\t1\tORDER", `share "1"`},
		{concepts, "human\t0.5\tORDERS", `unknown concept "ORDERS"`},
		{concepts, "human\t0.5\tORDER>X", `unknown concept in "ORDER>X"`},
		{concepts, "human\t0.5\t<x", "number of words"},
	} {
		table, err := words.Parse(g.words)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parse(table, g.rules); err == nil || !strings.Contains(err.Error(), g.want) {
			t.Errorf("parse(%q, %q) gives %v, want an error with %q", g.words, g.rules, err, g.want)
		}
	}
}
