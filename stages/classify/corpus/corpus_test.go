package corpus

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/handoff-dev/handoff/stages/classify/intent"
)

func TestGrowing(t *testing.T) {
	here := fstest.MapFS{"grammar/en.txt": {Data: []byte("<order> = order|package\n[order_status]\nwhere (is|are (the|all)) my <order>( now|)\n~ held <order>\n- my <order> is late\n")}}
	c, err := Open(here, nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Open(here, nil, 1)
	if err != nil || !slices.Equal(c.Messages, again.Messages) {
		t.Errorf("the same seed grows other messages (%v)", err)
	}
	held, late := 0, 0
	for _, m := range c.Messages {
		if m.Label != intent.OrderStatus || m.Language != "en" || strings.ContainsAny(m.Text, "<>()|") {
			t.Errorf("grown: %+v", m)
		}
		if strings.Contains(strings.ToLower(m.Text), "ordernow") || strings.Contains(strings.ToLower(m.Text), "packagenow") {
			t.Errorf("a choice loses its space: %q", m.Text)
		}
		if m.Held {
			held++
		}
		if m.Tone == Negative {
			late++
		}
	}
	if held == 0 || late == 0 {
		t.Errorf("%d held back, %d negative", held, late)
	}
}

func TestGrammarsRefuse(t *testing.T) {
	for document, want := range map[string]string{
		"where is it":               "line 1: a pattern before the first label",
		"[other]\nwhere (is|are":    "line 2: a bracket is not closed",
		"[other]\nwhere is)":        "line 2: a bracket closes that was not opened",
		"[other]\nwhere is <it>":    "line 2: there is no <it>",
		"[other\nwhere is my order": "line 1: the label has no closing bracket",
	} {
		if _, err := parse("en.txt", document); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %q", document, err, want)
		}
	}
}

// TestNothingJudgedIsTrainedOn: what is written to judge by grows of no grammar, but for a few sentences that
// anyone would write so; the model card names their number.
func TestNothingJudgedIsTrainedOn(t *testing.T) {
	c, err := Open(os.DirFS("."), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	plain := func(text string) string { return strings.ToLower(strings.Trim(text, " .!?")) }
	trained := map[string]bool{}
	for _, m := range c.Messages {
		trained[plain(m.Text)] = true
	}
	const fewWords = 3 // what anyone says in so few is the same
	same := 0
	for _, set := range []string{Dev, Held} {
		messages, err := Judge(os.DirFS("."), set)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if trained[plain(m.Text)] && len(strings.Fields(m.Text)) > fewWords {
				same++
				t.Logf("%s: %q is grown too", set, m.Text)
			}
		}
	}
	if same > 20 {
		t.Errorf("%d messages to judge by are in the training", same)
	}
}

func TestLanguagesHaveEveryLabel(t *testing.T) {
	c, err := Open(os.DirFS("."), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[[2]string]int{}
	for _, m := range c.Messages {
		seen[[2]string{m.Language, m.Label}]++
	}
	for _, l := range Languages() {
		for _, label := range append(intent.All(), OptOut, WrongNumber, NotOptOut) {
			if n := seen[[2]string{l, label}]; n < 20 {
				t.Errorf("%s has %d messages of %s", l, n, label)
			}
		}
	}
}
