package words

import (
	"slices"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/stages/classify/fold"
)

func shippedTable(t testing.TB) *Table {
	t.Helper()
	table, err := Shipped()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// concepts are the names of what is found in a text, in order.
func concepts(table *Table, text string, mend bool) []string {
	var m Meanings
	folded := []byte(fold.String(text))
	table.Read(&m, folded)
	if mend {
		table.Mend(&m, folded)
	}
	var out []string
	for _, h := range m.Hits[:m.Found] {
		out = append(out, table.names[h.Concept])
	}
	return out
}

func TestMeanings(t *testing.T) {
	table, err := Parse("A\ten\tstop|stop it*|cancel*\nB\tzh\t\u8ba2\u5355\nKNOWN\ten\tcancer\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range []struct {
		text string
		want string
		mend bool
	}{
		{"stop", "A", false},
		{"nonstop", "", false},
		{"stopping", "", false},
		{"stop. it now", "A", false},
		{"stop iting", "A", false},
		{"cancelled cancel", "A A", false},
		{"\u6211\u7684\u8ba2\u5355\u8ba2\u5355", "B B", false},
		{"cnacel", "", false},
		{"cnacel", "A", true},
		{"cancer", "", true},
		{"", "", true},
	} {
		if got := strings.Join(concepts(table, g.text, g.mend), " "); got != g.want {
			t.Errorf("%q means %q, want %q", g.text, got, g.want)
		}
	}
}

func TestPlacesOfWords(t *testing.T) {
	table, err := Parse("A\ten\tstop\nB\ten\tbus line")
	if err != nil {
		t.Fatal(err)
	}
	var m Meanings
	table.Read(&m, []byte("the\nbus line stop"))
	if m.Words != 4 || m.Found != 2 || m.Hits[0] != (Hit{Concept: 1, From: 1, To: 2, Clause: 1}) || m.Hits[1] != (Hit{Concept: 0, From: 3, To: 3, Clause: 1}) {
		t.Errorf("read as %d words, %+v", m.Words, m.Hits[:m.Found])
	}
}

// TestPairsAreFeatures holds what is found by Pairs and what a model learns from together.
func TestPairsAreFeatures(t *testing.T) {
	table := shippedTable(t)
	var m Meanings
	table.Read(&m, []byte(fold.String("please stop sending me these messages, I never signed up for your list")))
	features := table.Features(nil, &m)
	n := 0
	m.Pairs(func(first, then Concept) bool {
		want := feature(table.hashes[first])
		if first != then {
			want = feature(pair(table.hashes[first], table.hashes[then]))
		}
		if n >= len(features) || features[n] != want {
			t.Fatalf("pair %d is not feature %d", n, n)
		}
		n++
		return true
	})
	if n != len(features) || n == 0 {
		t.Errorf("%d pairs, %d features", n, len(features))
	}
}

func TestParseRefuses(t *testing.T) {
	var many strings.Builder
	for i := range maxConcepts + 1 {
		many.WriteString("C" + strings.Repeat("x", i) + "\ten\tword\n")
	}
	for document, want := range map[string]string{
		"A\ten": "line 1: 2 columns", "#\nA\ten\t!": `line 2: pattern "!": is empty`, many.String(): "more than 128 concepts",
	} {
		if _, err := Parse(document); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q gives %v, want %q", document, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	table := shippedTable(f)
	for _, s := range []string{"where is my order", "\u6ce8\u6587\u306f\u3069\u3053", "\xff\xfe", strings.Repeat("cancel my order ", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var m Meanings
		folded := fold.Append(nil, text)
		table.Read(&m, folded)
		table.Mend(&m, folded)
		if words := len(strings.FieldsFunc(string(folded), func(r rune) bool { return r == ' ' || r == '\n' })); m.Words != min(words, MaxWords) {
			t.Fatalf("%q has %d words, read as %d", text, words, m.Words)
		}
		for _, h := range m.Hits[:m.Found] {
			if h.From > h.To || int(h.From) >= m.Words || int(h.Concept) >= len(table.names) {
				t.Fatalf("%q has the hit %+v", text, h)
			}
		}
		if len(table.Features(nil, &m)) > Most || !slices.Equal(table.Features(nil, &m), table.Features(nil, &m)) {
			t.Fatalf("%q has other features the second time", text)
		}
	})
}

func TestOneError(t *testing.T) {
	for _, g := range []struct {
		a, b string
		want bool
	}{
		{"cancel", "cancel", true}, {"cancel", "cancl", true}, {"cancel", "cancell", true}, {"cancel", "cancle", true}, {"cancel", "camcel", true},
		{"cancel", "cncle", false}, {"cancel", "canel", true}, {"cancel", "cabcek", false}, {"order", "ordr", true}, {"order", "odrer", true}, {"order", "rodre", false},
	} {
		if got := oneError(g.a, []byte(g.b)); got != g.want {
			t.Errorf("oneError(%q, %q) = %v", g.a, g.b, got)
		}
	}
}
