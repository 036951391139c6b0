package classify

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

const (
	account  = "+15557770000"
	customer = "+14155550001"

	none  = handoffv1.Directive_DIRECTIVE_UNSPECIFIED
	stop  = handoffv1.Directive_DIRECTIVE_STOP
	start = handoffv1.Directive_DIRECTIVE_START
	help  = handoffv1.Directive_DIRECTIVE_HELP
	yes   = handoffv1.Directive_DIRECTIVE_YES
	no    = handoffv1.Directive_DIRECTIVE_NO

	nothing = handoffv1.Question_QUESTION_UNSPECIFIED
	offer   = handoffv1.Question_QUESTION_OFFER
	optIn   = handoffv1.Question_QUESTION_OPT_IN
	other   = handoffv1.Question_QUESTION_OTHER
)

// world runs the stage over one address, its state in a map.
type world struct {
	t       testing.TB
	stage   *Stage
	entries map[string][]byte
	seen    map[string]bool
	now     time.Time
	channel handoffv1.Channel
	account string
	n       int
	fx      pipeline.Effects
}

// shared is one stage for all tests: it never changes, and its tables take a while to read.
var shared = sync.OnceValues(func() (*Stage, error) { return New(Config{}) })

func newWorld(t testing.TB) *world {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, stage: s, entries: map[string][]byte{}, seen: map[string]bool{}, channel: handoffv1.Channel_CHANNEL_SMS,
		account: account, now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC),
	}
}

func (w *world) At(string, uint64) (*settings.Shop, error) {
	s := &settings.Shop{}
	s.Classifier.Endpoint.SureFrom = 0.6
	return s, nil
}
func (w *world) Current(string) (*settings.Shop, uint64, error) { return &settings.Shop{}, 1, nil }
func (w *world) Get(name string) ([]byte, bool)                 { v, ok := w.entries[name]; return v, ok }
func (w *world) Put(name string, value []byte)                  { w.entries[name] = value }
func (w *world) Delete(name string)                             { delete(w.entries, name) }
func (w *world) Scan(prefix string, fn func(string, []byte) bool) {
	var names []string
	for name := range w.entries {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !fn(name, w.entries[name]) {
			return
		}
	}
}

func (w *world) Seen(id []byte, _ time.Time) bool {
	was := w.seen[string(id)]
	w.seen[string(id)] = true
	return was
}

func (w *world) record() *handoffv1.Record {
	w.n++
	return &handoffv1.Record{
		Id: schemas.SourceID("test", "acme", w.account, fmt.Sprint(w.n)), Shop: "acme", Address: customer,
		Channel: w.channel, Account: w.account, Conversation: schemas.Conversation(w.channel, w.account),
		EventTime: timestamppb.New(w.now), ReceivedAt: timestamppb.New(w.now), SettingsVersion: 1,
	}
}

func (w *world) step(r *handoffv1.Record) error {
	w.t.Helper()
	value, err := schemas.Encode(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.fx.Reset()
	return w.stage.Process(&pipeline.Input{
		Key: schemas.KeyOf(r).Bytes(), Record: &pipeline.Record{Key: schemas.KeyOf(r).Bytes(), Value: value}, Now: w.now, Settings: w,
	}, w, &w.fx)
}

// posted decodes what the last step posted to a topic.
func (w *world) posted(topic string) (out []*handoffv1.Record) {
	for _, e := range w.fx.Emits {
		if e.Topic == topic {
			r, err := schemas.Decode(e.Key, e.Value)
			if err != nil {
				w.t.Fatal(err)
			}
			out = append(out, r)
		}
	}
	return out
}

func (w *world) asks(q handoffv1.Question, id string, within time.Duration) {
	w.t.Helper()
	a := &handoffv1.Asked{Question: q, QuestionId: id}
	if within > 0 {
		a.Until = timestamppb.New(w.now.Add(within))
	}
	r := w.record()
	r.Body = &handoffv1.Record_Asked{Asked: a}
	if err := w.step(r); err != nil {
		w.t.Fatal(err)
	}
	if len(w.fx.Emits) != 0 {
		w.t.Fatalf("asked posts %d records", len(w.fx.Emits))
	}
}

// says steps a message and returns what was read, having checked that it went to consent and was
// counted once.
func (w *world) says(text string, change ...func(*handoffv1.CustomerMessage)) *handoffv1.Classification {
	w.t.Helper()
	m := &handoffv1.CustomerMessage{Text: text, NativeId: "SM1", SenderName: "Ann"}
	for _, f := range change {
		f(m)
	}
	r := w.record()
	r.Body = &handoffv1.Record_CustomerMessage{CustomerMessage: m}
	if err := w.step(r); err != nil {
		w.t.Fatal(err)
	}
	passed, facts := w.posted(schemas.TopicConsent), w.posted(schemas.TopicAnalytics)
	if len(passed) != 1 || len(facts) != 1 || len(w.fx.Emits) != 2 {
		w.t.Fatalf("%q posts %d messages and %d facts, want one of each", text, len(passed), len(facts))
	}
	f := facts[0].GetFact().GetMessage()
	if f.GetMessageId() != schemas.HexID(r.GetId()) || !f.GetInbound() || f.GetText() != text || f.GetNativeId() != "SM1" {
		w.t.Fatalf("the fact of %q is %v", text, f)
	}
	return passed[0].GetCustomerMessage().GetClassification()
}

func TestOrderOfReading(t *testing.T) {
	for _, c := range []struct {
		texts   string
		asked   handoffv1.Question
		want    handoffv1.Directive
		answers handoffv1.Question
		more    bool
		thanks  bool
		person  bool
	}{
		{texts: "STOP|cancel|End.|quit!|ＳＴＯＰ|arrêt|BAJA", asked: offer, want: stop},
		{texts: "HELP|info", asked: offer, want: help},
		{texts: "START|unstop", asked: optIn, want: start},
		{texts: "yes|YES!|yep|ok please|ok|oui|sí|👍|はい|好的|sure|yes thanks|Yes, thank you", asked: offer, want: yes, answers: offer},
		{texts: "no|nope|no thanks|No, thank you!|non merci|👎|いいえ", asked: offer, want: no, answers: offer},
		{texts: "yes|ok", asked: optIn, want: yes, answers: optIn},
		{texts: "no", asked: other, want: no, answers: other},
		{texts: "yes, where is my order?|yes and cancel order 12", asked: offer, want: yes, answers: offer, more: true},
		{texts: "no, where is my order?", asked: offer, want: no, answers: offer, more: true},
		{texts: "yes please connect me|Yes, I want to talk to an agent", asked: offer, want: yes, answers: offer, person: true},
		{texts: "connect me|human please|let me talk to an agent|No! I want a person", asked: offer, want: none, answers: offer, person: true},
		{texts: "thanks|Thanks!|merci 🙏|thank you so much|Thank you Kim!|THANKS KIM|thank you kim 😀|Thank you Yuki 🙏", asked: offer, want: none, thanks: true},
		{texts: "Thanks Cancel|Thanks Broken|thanks but|Thanks Kim?|thanks broken 😀|THANKS LARS", asked: nothing, want: none},
		{texts: "Liked “Since I'm not able to help with that, do you want me to connect you directly…”", asked: offer, want: yes, answers: offer},
		{texts: "Disliked “Since I'm not able to help with that, do you want me to connect you directly…”", asked: offer, want: no, answers: offer},
		{texts: "Liked “Your order is on its way.”|Loved “Since I'm not able to help with that, do you want me to connect you directly…”", asked: offer, want: none, thanks: true},
		{texts: "Liked “Since I'm not able to help with that”|Disliked “I can connect you with an agent”", asked: nothing, want: none, thanks: true},
		{texts: "ok thanks", asked: offer, want: yes, answers: offer},
		{texts: "ok thanks|great, thank you!|Thanks|merci 🙏", asked: nothing, want: none, thanks: true},
		{texts: "thanks, but where is my order?|thanks but no", asked: nothing, want: none},
		{texts: "yes", asked: nothing, want: yes},
		{texts: "no thanks", asked: nothing, want: no},
		{texts: "ok|great", asked: nothing, want: none},
		{texts: "where is my order|yes stop|ok cancel|yes, stop|maybe|", asked: offer, want: none},
		{texts: "no, stop|No thanks. Stop|not interested, stop|ok, stop|thanks, stop|nein, stopp", asked: offer, want: stop},
		{texts: "I don't want to talk to a person", asked: nothing, want: none},
	} {
		for text := range strings.SplitSeq(c.texts, "|") {
			t.Run(fmt.Sprintf("%s after %v", text, c.asked), func(t *testing.T) {
				w := newWorld(t)
				if c.asked != nothing {
					w.asks(c.asked, "q1", time.Hour)
				}
				got := w.says(text)
				id := ""
				if c.answers != nothing {
					id = "q1"
				}
				if got.GetDirective() != c.want || got.GetAnswers() != c.answers || got.GetQuestionId() != id ||
					got.GetMoreText() != c.more || got.GetThanksOnly() != c.thanks || got.GetAsksForPerson() != c.person {
					t.Errorf("read as %v", got)
				}
			})
		}
	}
}

func TestStopWordsAloneNeverCount(t *testing.T) {
	w := newWorld(t)
	w.channel = handoffv1.Channel_CHANNEL_MESSENGER
	for _, text := range []string{"cancel", "END", "quit", "Cancel!", "annuler", "取消"} {
		w.asks(offer, "q1", time.Hour)
		got := w.says(text)
		if got.GetDirective() != none || got.GetAnswers() != nothing || got.GetIntent() != "" || !got.GetUnsure() {
			t.Errorf("%q on Messenger is read as %v", text, got)
		}
	}
	if got := w.says("stop"); got.GetDirective() != stop {
		t.Errorf("stop on Messenger is read as %v", got)
	}
}

func TestTheQuestionAskedLastIsAnswered(t *testing.T) {
	t.Run("within its time, by when it was received", func(t *testing.T) {
		w := newWorld(t)
		w.asks(offer, "q1", time.Hour)
		w.now = w.now.Add(time.Hour)
		if got := w.says("yes"); got.GetAnswers() != offer {
			t.Errorf("a yes at the last moment is read as %v", got)
		}
		w.asks(offer, "q2", time.Hour)
		w.now = w.now.Add(time.Hour + time.Millisecond)
		if got := w.says("yes"); got.GetAnswers() != nothing || got.GetDirective() != yes {
			t.Errorf("a late yes is read as %v", got)
		}
		if got := w.says("connect me"); got.GetAnswers() != nothing || !got.GetAsksForPerson() {
			t.Errorf("late words that name the handoff are read as %v", got)
		}
	})
	t.Run("once", func(t *testing.T) {
		w := newWorld(t)
		w.asks(offer, "q1", 0)
		w.says("yes")
		if got := w.says("yes"); got.GetAnswers() != nothing {
			t.Errorf("a second yes is read as %v", got)
		}
	})
	t.Run("not after another text, but by naming it", func(t *testing.T) {
		w := newWorld(t)
		w.asks(offer, "q1", time.Hour)
		w.asks(nothing, "t2", 0)
		if got := w.says("yes"); got.GetAnswers() != nothing || got.GetDirective() != yes {
			t.Errorf("a bare yes is read as %v", got)
		}
		if got := w.says("no"); got.GetAnswers() != nothing || got.GetDirective() != no {
			t.Errorf("a bare no is read as %v", got)
		}
		if got := w.says("yes, connect me"); got.GetAnswers() != offer || got.GetQuestionId() != "q1" {
			t.Errorf("naming the handoff is read as %v", got)
		}
		if got := w.says("connect me"); got.GetAnswers() != nothing {
			t.Errorf("naming it again is read as %v", got)
		}
	})
	t.Run("whichever it is", func(t *testing.T) {
		w := newWorld(t)
		w.asks(offer, "q1", time.Hour)
		w.asks(other, "q2", time.Hour)
		if got := w.says("yes"); got.GetAnswers() != other || got.GetQuestionId() != "q2" {
			t.Errorf("a yes is read as %v", got)
		}
		if got := w.says("talk to a human"); got.GetAnswers() != offer {
			t.Errorf("asking for a person is read as %v", got)
		}
	})
	t.Run("in its own conversation", func(t *testing.T) {
		w := newWorld(t)
		w.asks(offer, "q1", time.Hour)
		w.account = "+15557770001"
		if got := w.says("yes"); got.GetAnswers() != nothing {
			t.Errorf("a yes elsewhere is read as %v", got)
		}
	})
	t.Run("not after a STOP, on whichever account", func(t *testing.T) {
		w := newWorld(t)
		w.asks(offer, "q1", time.Hour)
		w.account = "+15557770001"
		w.says("STOP")
		w.account = account
		if got := w.says("yes"); got.GetAnswers() != nothing {
			t.Errorf("a yes after STOP is read as %v", got)
		}
		if got := w.says("agent"); got.GetAnswers() != nothing {
			t.Errorf("agent after STOP is read as %v", got)
		}
	})
	t.Run("an ordinary message leaves it standing", func(t *testing.T) {
		w := newWorld(t)
		w.asks(offer, "q1", time.Hour)
		w.says("where is my order")
		if got := w.says("yes"); got.GetAnswers() != offer {
			t.Errorf("the yes is read as %v", got)
		}
	})
}

func TestProviderKeywords(t *testing.T) {
	did := func(p handoffv1.ProviderOptOut) func(*handoffv1.CustomerMessage) {
		return func(m *handoffv1.CustomerMessage) { m.ProviderOptOut = p }
	}
	const (
		pStop  = handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_STOP
		pStart = handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_START
		pHelp  = handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_HELP
	)
	for _, c := range []struct {
		text    string
		did     handoffv1.ProviderOptOut
		want    handoffv1.Directive
		matched string
	}{
		{"STOP", pStop, stop, "STOP"},
		{"basta ya", pStop, stop, ""},
		{"yes", pStop, stop, ""},
		{"START", pStop, stop, ""},
		{"join", pStart, start, ""},
		{"YES", pStart, yes, ""},
		{"support", pHelp, help, ""},
		{"stop", pHelp, stop, "STOP"},
	} {
		w := newWorld(t)
		if got := w.says(c.text, did(c.did)); got.GetDirective() != c.want || got.GetMatched() != c.matched {
			t.Errorf("%q with %v is read as %v", c.text, c.did, got)
		}
	}
}

func TestLanguageStaysWithTheConversation(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ text, want string }{
		{"Où est ma commande, s'il vous plaît ?", "fr"}, {"ok", "fr"}, {"STOP", "fr"}, {"12345", "fr"},
		{"Where is my order? It has not arrived yet", "en"}, {"baja", "es"},
	} {
		if got := w.says(c.text).GetLanguage(); got != c.want {
			t.Errorf("%q is in %q, want %q", c.text, got, c.want)
		}
	}
}

func TestReadingFillsTheClassification(t *testing.T) {
	w := newWorld(t)
	got := w.says("Cancel my order please, this is the worst scam ever")
	if got.GetIntent() != intent.CancelOrder || got.GetConfidence() < 0.5 || got.GetUnsure() || got.GetSentiment() > -0.8 ||
		got.GetClassifier() != "handoff/1" || got.GetMatched() == "" {
		t.Errorf("read as %v", got)
	}
	if got := w.says("purple monkey"); !got.GetUnsure() || got.GetIntent() != "" {
		t.Errorf("nonsense is read as %v", got)
	}
	photo := func(m *handoffv1.CustomerMessage) {
		m.Media = []*handoffv1.Media{{Url: "https://acme.example/1.jpg"}}
	}
	if got := w.says("", photo); !got.GetUnsure() {
		t.Errorf("a bare photo is read as %v", got)
	}
}

func TestRepeatsAreDropped(t *testing.T) {
	w := newWorld(t)
	r := w.record()
	r.Body = &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: "hi"}}
	for i, want := range []int{2, 0} {
		if err := w.step(r); err != nil {
			t.Fatal(err)
		}
		if len(w.fx.Emits) != want {
			t.Errorf("time %d posts %d records, want %d", i, len(w.fx.Emits), want)
		}
	}
}

func TestRefusesWhatItDoesNotRead(t *testing.T) {
	w := newWorld(t)
	hold := w.record()
	hold.Body = &handoffv1.Record_Hold{Hold: &handoffv1.Hold{}}
	lost := w.record()
	lost.Conversation, lost.Body = "", &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: "hi"}}
	for name, r := range map[string]*handoffv1.Record{"a hold": hold, "no conversation": lost} {
		if err := w.step(r); !errors.Is(err, schemas.ErrRecord) {
			t.Errorf("%s gives %v, want a bad record", name, err)
		}
	}
	w.fx.Reset()
	in := &pipeline.Input{Key: []byte("acme|" + customer), Now: w.now, Settings: w, Record: &pipeline.Record{Value: []byte("\xff")}}
	w.stage.Failed(in, "handoff.classify/0/9", errors.New("x"), &w.fx)
	if g := w.posted(schemas.TopicDeliver); len(g) != 1 || !g[0].GetTextGate().GetShut() {
		t.Errorf("a failure posts %v", g)
	}
}

// However messages and questions come, an opt-out word is never an agreement, each question is
// answered at most once, and by nothing received after its time.
func TestAnswersHold(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		until := map[string]time.Time{}
		for i := range rapid.IntRange(1, 30).Draw(rt, "steps") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(rt, "minutes")) * time.Minute)
			if rapid.Bool().Draw(rt, "asks") {
				q := rapid.SampledFrom([]handoffv1.Question{nothing, offer, optIn, other}).Draw(rt, "question")
				id := fmt.Sprint(i)
				w.asks(q, id, time.Hour)
				until[id] = w.now.Add(time.Hour)
				continue
			}
			text := rapid.SampledFrom([]string{"yes", "no", "ok", "thanks", "stop", "cancel", "connect me", "where is my order", "yes stop", "end"}).Draw(rt, "text")
			got := w.says(text)
			if (text == "stop" || text == "cancel" || text == "end") && got.GetDirective() != stop {
				rt.Fatalf("%q is read as %v", text, got)
			}
			if text == "yes stop" && (got.GetDirective() == yes || got.GetAnswers() != nothing) {
				rt.Fatalf("%q is read as %v", text, got)
			}
			if id := got.GetQuestionId(); id != "" {
				end, open := until[id]
				if !open || w.now.After(end) {
					rt.Fatalf("%q answers %s, which is not open", text, id)
				}
				delete(until, id)
			}
		}
	})
}

func BenchmarkMessage(b *testing.B) {
	w := newWorld(b)
	r := w.record()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Id = schemas.SourceID("test", "acme", account, fmt.Sprint(i))
		r.Body = &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: "Where is my order 1234?"}}
		if err := w.step(r); err != nil {
			b.Fatal(err)
		}
	}
}

// TestShippedIntentsInRules: a rule may ask for every intent that the shipped classifier reads, and for none.
func TestShippedIntentsInRules(t *testing.T) {
	for _, name := range append(intent.All(), "none") {
		_, err := settings.Parse([]byte("shop: acme\nname: Acme\nsupport_contact: help@acme.example\n" +
			"accounts: [{channel: sms, account: \"+15557770000\", provider: twilio, user: AC1, secret: \"env:TWILIO\"}]\n" +
			"rules: [{name: a, when: message_created, if: {intent: " + name + "}, then: [{add_to_list: x}]}]\n"))
		if err != nil {
			t.Error(err)
		}
	}
}

// TestDeniesName: who says that they are somebody else than a name is written to by mistake (C15), in the languages
// that say it in words of their own; what only begins so is none of it.
func TestDeniesName(t *testing.T) {
	stage, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	for text, wrong := range map[string]bool{
		"I'm not Anna": true, "I’m not Anna.": true, "im not Sarah": true, "I am not John": true, "I'm not Bob Smith": true, "Hi, I'm not Anna": true,
		"I'm not Maria, sorry": true, "My name isn't Anna": true,
		"No soy Ana": true, "Je ne suis pas Anna": true, "Não sou a Ana": true, "Non sono Anna": true, "Ik ben niet Anna": true, "Nie jestem Anna": true,
		"I'm not happy": false, "I'm not Happy": false, "I'm not sure": false, "I'm Not Sure": false, "I'm not home": false,
		"This is not Amazon": false, "I'm not Karen but I want my money back": false, "Why not Anna": false, "Is this not Anna": false,
		"Ich bin nicht Kunde": false, "I'm not Ready": false, "I'm not American": false, "I am not Jewish": false, "I'm not Christian": false,
		"I'm not Okay with this": false, "No soy Mexicana": false, "No soy Clara": false, "Je ne suis pas Contente": false, "My name is not Xanthia": true,
	} {
		read, _ := stage.Look(text, handoffv1.Question_QUESTION_UNSPECIFIED)
		if got := read.GetDirective() == handoffv1.Directive_DIRECTIVE_STOP && read.GetWrongNumber(); got != wrong {
			t.Errorf("%q is read as %v", text, read)
		}
	}
}

func TestPlainLanguageOptOuts(t *testing.T) {
	for _, g := range []struct {
		text                         string
		stop, possible, wrong, named bool
	}{
		{"please stop texting me", true, false, false, true},
		{"wrong number", true, false, true, true},
		{"STOP", true, false, false, false},
		{"STOP. Where is my refund?", false, true, false, true},
		{"Arrêt, où est ma commande ?", false, true, false, true},
		{"where is my order", false, false, false, false},
	} {
		stage, err := shared()
		if err != nil {
			t.Fatal(err)
		}
		read, _ := stage.Look(g.text, handoffv1.Question_QUESTION_UNSPECIFIED)
		stop := read.GetDirective() == handoffv1.Directive_DIRECTIVE_STOP
		if stop != g.stop || read.GetPossibleOptOut() != g.possible || read.GetWrongNumber() != g.wrong || (read.GetOptOutBy() != "") != g.named {
			t.Errorf("%q is read as %v", g.text, read)
		}
	}
}
