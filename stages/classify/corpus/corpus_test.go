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

func TestAuthorsRefuse(t *testing.T) {
	for document, want := range map[string]string{
		"en\topt_out":            "line 1: want language, label, text",
		"# who\nxx\topt_out\tno": "line 2: \"xx\" is none of the languages",
		"en\tleave\tno":          "line 1: there is no label \"leave\"",
	} {
		if _, err := parseAuthor("z.tsv", document); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %q", document, err, want)
		}
	}
}

// TestAuthorsAreLeftOutWhole: no author is split between parts, and each has one of its own, so that what is measured
// by leaving a part out is what a stranger's messages meet.
func TestAuthorsAreLeftOutWhole(t *testing.T) {
	c, err := Open(os.DirFS("."), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	j, err := Job("test/1", c.Messages, 1)
	if err != nil {
		t.Fatal(err)
	}
	part, of := map[string]int{}, map[int]string{}
	i := 0
	for _, m := range c.Messages {
		if m.Held {
			continue
		}
		p := j.Parts[i]
		i++
		if m.Author == "" {
			continue
		}
		if was, ok := part[m.Author]; ok && was != p {
			t.Fatalf("author %s is in parts %d and %d", m.Author, was, p)
		}
		if other, ok := of[p]; ok && other != m.Author {
			t.Fatalf("authors %s and %s share part %d", other, m.Author, p)
		}
		part[m.Author], of[p] = p, m.Author
	}
	if parts := slices.Max(j.Parts) + 1; len(part) != parts {
		t.Errorf("%d authors, want one for each of %d parts", len(part), parts)
	}
}

func TestAllowed(t *testing.T) {
	for expected, want := range map[float64]int{0.5: 0, 1: 0, 11.08: 9, 110.8: 107} {
		if got := allowed(expected); got != want {
			t.Errorf("where %g are expected %d are allowed, want %d", expected, got, want)
		}
	}
	if got := above([]float32{3, 2, 2, 1}, 2); got != 2.5 {
		t.Errorf("two messages that are alike are parted: %v", got)
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

// TestNaturalOptOuts: what readers took for an opt-out in a public set is neither taught nor counted as something else,
// and only in the set that it was read in.
func TestNaturalOptOuts(t *testing.T) {
	dir := fstest.MapFS{
		"hwu64.train.tsv":   {Data: []byte("Take off this list!\tlists_remove\ntake off this hat\tlists_remove\n")},
		"clinc150.test.tsv": {Data: []byte("take off this list\tremove\n")},
	}
	for file, want := range map[string][]bool{"hwu64.train.tsv": {true, false}, "clinc150.test.tsv": {false}} {
		messages, err := public{file: file, rest: None}.read(dir)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range messages {
			if m.OptOutUnknown != want[i] {
				t.Errorf("%s: whether %q opts out is unknown: %v, want %v", file, m.Text, m.OptOutUnknown, want[i])
			}
		}
	}
}

// TestNaturalMessagesOfAuthors: a natural message that an author wrote too is held back with the author.
func TestNaturalMessagesOfAuthors(t *testing.T) {
	messages := []Message{{Text: "no way", Author: "a"}, {Text: "enough of it", Author: "b", Label: OptOut}, {Text: "No way!", Author: "b"}}
	for i := range 20 {
		messages = append(messages, Message{Text: "Enough of it" + strings.Repeat("!", i), Natural: true})
	}
	j, err := Job("test", messages, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range j.Parts[1:] {
		if part != 1 {
			t.Errorf("%q is of part %d, want its author's", messages[i+1].Text, part)
		}
	}
}
