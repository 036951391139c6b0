package keyword

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/stages/classify/fold"
)

const (
	sms       = handoffv1.Channel_CHANNEL_SMS
	messenger = handoffv1.Channel_CHANNEL_MESSENGER
	none      = handoffv1.Directive_DIRECTIVE_UNSPECIFIED
	stop      = handoffv1.Directive_DIRECTIVE_STOP
	start     = handoffv1.Directive_DIRECTIVE_START
	help      = handoffv1.Directive_DIRECTIVE_HELP
)

func table(t testing.TB) *Table {
	t.Helper()
	tab, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func (t *Table) find(text string, ch handoffv1.Channel) Match {
	return t.Find(fold.Append(nil, text), ch)
}

func TestFind(t *testing.T) {
	tab := table(t)
	for _, c := range []struct {
		texts string // divided by |
		ch    handoffv1.Channel
		want  handoffv1.Directive
	}{
		{"STOP|stop|Stop.|  sToP!! |ＳＴＯＰ|S T O P|s.t.o.p|\"STOP\"|STOP 🛑|stop\n|Stop?|*stop*|'stop'|st op|-STOP-|stop…", sms, stop},
		{"STOPALL|stop all|UNSUBSCRIBE|cancel|Cancel.|END|quit|REVOKE|optout|opt-out|Opt out|please opt me out|REMOVE|STOP2END|Reply STOP to unsubscribe|Reply STOP to opt out|stop to end|stop2 end", sms, stop},
		{"ARRET|Arrêt|arrêté|ARRETT|désabonner|BAJA|baja.|darme de baja|Stopp|abmelden|sair|annulla|afmelden|wypisz|İPTAL|iptal|dur|停止|配信停止|退订|退訂|td", sms, stop},
		{"START|Start!|unstop|UN STOP|NONARRET|non arrêt|alta|開始|START. START!", sms, start},
		{"non, arrêt|Non. Arret.|un, stop", sms, none},
		{"HELP|help!|Info|INFO.|ayuda|aide|hilfe|ＨＥＬＰ|帮助|ヘルプ", sms, help},
		{"YES|y|no|stop 12345|cancel my order|stop texting me|please cancel|help me|I need help|the end|end of the month|start my return|quite|stopp it|unsubscribed|info about sizes|fin|para|halt||🛑|ende|stopping", sms, none},
		{"STOP|unsubscribe|arrêt|désabonner|baja|退订|ｓｔｏｐ", messenger, stop},
		{"CANCEL|end|quit|revoke|opt out|stopall|annuler|取消|HELP|info|ayuda", messenger, none},
		{"START|unstop", messenger, start},
	} {
		for text := range strings.SplitSeq(c.texts, "|") {
			if got := tab.find(text, c.ch); got.Directive != c.want {
				t.Errorf("%q on %v is %v, want %v", text, c.ch, got.Directive, c.want)
			}
		}
	}
	for _, ch := range []handoffv1.Channel{handoffv1.Channel_CHANNEL_X, handoffv1.Channel_CHANNEL_LINE, handoffv1.Channel_CHANNEL_WECHAT} {
		if tab.find("stop", ch).Directive != stop || tab.find("cancel", ch).Directive != none {
			t.Errorf("on %v only STOP and UNSUBSCRIBE should count", ch)
		}
	}
}

func TestMatchTellsWordAndLanguage(t *testing.T) {
	tab := table(t)
	for text, want := range map[string]Match{
		"arrêt":  {stop, "ARRET", "fr"},
		"stop!":  {stop, "STOP", "en"},
		"停止":     {stop, "停止", ""},
		"ayuda ": {help, "AYUDA", "es"},
	} {
		if got := tab.find(text, sms); got != want {
			t.Errorf("%q is %+v, want %+v", text, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for doc, want := range map[string]string{
		"stop\ten\tall\tSTOP":                                      "line 1: 4 columns",
		"#\nhalt\ten\tall\tSTOP\tme\t-":                            "line 2: unknown family",
		"stop\ten\tsome\tSTOP\tme\t-":                              "neither all nor phone",
		"stop\ten\tall\t!\tme\t-":                                  "empty",
		"stop\ten\tall\tSTOP\t\t-":                                 "empty",
		"stop\ten\tall\tSTOP\tme\t-\nhelp\ten\tall\tstop\tme\t-\n": "line 2: \"stop\" belongs to two families",
	} {
		if _, err := Parse(doc); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) gives %v, want an error with %q", doc, err, want)
		}
	}
}

// Every keyword is found however it is dressed, and never inside a longer message.
func TestKeywordsAreWholeMessages(t *testing.T) {
	tab := table(t)
	var words []string
	for _, e := range tab.entries {
		words = append(words, e.match.Keyword)
	}
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom(words).Draw(t, "word")
		before := rapid.StringOf(rapid.SampledFrom([]rune(" .!?\"'*-…\n🛑👍"))).Draw(t, "before")
		after := rapid.StringOf(rapid.SampledFrom([]rune(" .!?\"'*-…\n🛑👍"))).Draw(t, "after")
		if len(before)+len(after) > 60 {
			t.Skip("an essay")
		}
		want := tab.find(word, sms)
		if want.Directive == none {
			t.Fatalf("%q is not found", word)
		}
		if got := tab.find(before+strings.ToLower(word)+after, sms); got != want {
			t.Fatalf("%q is %+v, %q is %+v", word, want, before+word+after, got)
		}
		if got := tab.find(word+" 4412 my order", sms); got.Directive != none {
			t.Fatalf("%q inside a message counts as %v", word, got.Directive)
		}
	})
}

func BenchmarkFind(b *testing.B) {
	tab := table(b)
	folded := fold.Append(nil, "Stop please")
	b.ReportAllocs()
	for b.Loop() {
		tab.Find(folded, sms)
	}
}

// TestSaidAgain: an English word several times is that word; others, and several words, are not.
func TestSaidAgain(t *testing.T) {
	tab := table(t)
	for text, want := range map[string]string{
		"STOP STOP STOP": "STOP", "stop.stop!": "STOP", "Help help": "HELP", "cancel cancel": "CANCEL",
		"stop start": "", "stop stopping": "", "stop it stop it": "", "para para": "", "baja baja": "", "stop stop texting": "",
	} {
		if got := tab.find(text, sms); got.Keyword != want {
			t.Errorf("%q is %+v, want %q", text, got, want)
		}
	}
}

// TestFindKeepsNothing: who looks for a keyword may have the message in memory of the stack.
func TestFindKeepsNothing(t *testing.T) {
	tab := table(t)
	for _, text := range []string{"it was the blue one, size 42", "STOP", "START. START!", "non, arrêt"} {
		if n := testing.AllocsPerRun(100, func() {
			var buf [1024]byte
			tab.Find(fold.Append(buf[:0], text), sms)
		}); n != 0 {
			t.Errorf("%q: %v allocations", text, n)
		}
	}
}
