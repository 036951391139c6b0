package schemas_test

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas"
)

func TestSegments(t *testing.T) {
	rep := strings.Repeat
	cases := []struct {
		name, text, encoding string
		want                 int
	}{
		{"empty", "", schemas.EncodingGSM7, 0},
		{"one letter", "a", schemas.EncodingGSM7, 1},
		{"gsm full single", rep("a", 160), schemas.EncodingGSM7, 1},
		{"gsm one over", rep("a", 161), schemas.EncodingGSM7, 2},
		{"gsm two full", rep("a", 306), schemas.EncodingGSM7, 2},
		{"gsm two over", rep("a", 307), schemas.EncodingGSM7, 3},
		{"accents of the default alphabet", "èéùìòÇØøÅåÆæßÉÄÖÑÜäöñüà¿¡§¤£¥", schemas.EncodingGSM7, 1},
		{"greek capitals of the default alphabet", "ΔΦΓΛΩΠΨΣΘΞ", schemas.EncodingGSM7, 1},
		{"small c cedilla is not in the alphabet", "ç", schemas.EncodingUCS2, 1},
		{"backtick is not in the alphabet", "`", schemas.EncodingUCS2, 1},
		{"tab is not in the alphabet", "a\tb", schemas.EncodingUCS2, 1},
		{"escape is not a character", "\x1b", schemas.EncodingUCS2, 1},
		{"typographic apostrophe", "don’t", schemas.EncodingUCS2, 1},
		{"extended cost two: 80 fit", rep("€", 80), schemas.EncodingGSM7, 1},
		{"extended cost two: 81 do not", rep("€", 81), schemas.EncodingGSM7, 2},
		{"each extended character costs two", rep("^{}\\[~]|€\f", 8), schemas.EncodingGSM7, 1},
		{"each extended character costs two, one over", rep("^{}\\[~]|€\f", 8) + "a", schemas.EncodingGSM7, 2},
		{"escape pair not parted: 76 pairs a segment", rep("€", 152), schemas.EncodingGSM7, 2},
		{"escape pair not parted: 153 pairs need three", rep("€", 153), schemas.EncodingGSM7, 3},
		{"escape at the seam moves on", rep("a", 152) + "€" + rep("a", 151), schemas.EncodingGSM7, 2},
		{"escape at the seam overflows", rep("a", 152) + "€" + rep("a", 152), schemas.EncodingGSM7, 3},
		{"ucs full single", rep("я", 70), schemas.EncodingUCS2, 1},
		{"ucs one over", rep("я", 71), schemas.EncodingUCS2, 2},
		{"ucs two full", rep("я", 134), schemas.EncodingUCS2, 2},
		{"ucs two over", rep("я", 135), schemas.EncodingUCS2, 3},
		{"emoji are two units: 35 fit", rep("👍", 35), schemas.EncodingUCS2, 1},
		{"emoji are two units: 36 do not", rep("👍", 36), schemas.EncodingUCS2, 2},
		{"surrogates not parted: 33 a segment", rep("👍", 66), schemas.EncodingUCS2, 2},
		{"surrogates not parted: 67 need three", rep("👍", 67), schemas.EncodingUCS2, 3},
		{"one emoji makes all of it ucs", rep("a", 69) + "👍", schemas.EncodingUCS2, 2},
		{"not utf-8", "\xff\xfe", schemas.EncodingUCS2, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			n, encoding := schemas.Segments(c.text)
			if n != c.want || encoding != c.encoding {
				t.Errorf("Segments = %d %s, want %d %s", n, encoding, c.want, c.encoding)
			}
		})
	}
}

func TestSplitText(t *testing.T) {
	family := "👩‍👩‍👧‍👦" // one user-perceived character, 11 units
	cases := []struct {
		name  string
		text  string
		limit int
		want  []string
	}{
		{"empty", "", 10, nil},
		{"fits", "hello there", 11, []string{"hello there"}},
		{"fits with its white space", " hi ", 10, []string{" hi "}},
		{"at a space", "hello there", 10, []string{"hello", "there"}},
		{"space exactly at the limit", "hello there", 5, []string{"hello", "there"}},
		{"newline is white space", "hello\nthere", 8, []string{"hello", "there"}},
		{"several spaces dropped at the cut", "hello    there", 7, []string{"hello", "there"}},
		{"long word is cut", "abcdefgh", 3, []string{"abc", "def", "gh"}},
		{"long word after a short one", "ab cdefgh", 4, []string{"ab", "cdef", "gh"}},
		{"surrogate pair kept", "a👍b", 2, []string{"a", "👍", "b"}},
		{"combining mark stays", "aaae\u0301", 4, []string{"aaa", "e\u0301"}},
		{"family kept whole", "ab" + family, 12, []string{"ab", family}},
		{"family over the limit is cut between code points", family, 3, []string{"👩\u200d", "👩\u200d", "👧\u200d", "👦"}},
		{"limit below a pair", "👍👍", 1, []string{"👍", "👍"}},
		{"nothing but white space", "      ", 3, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := schemas.SplitText(c.text, c.limit)
			if strings.Join(got, "¦") != strings.Join(c.want, "¦") || len(got) != len(c.want) {
				t.Errorf("SplitText = %q, want %q", got, c.want)
			}
		})
	}
}

// TestSplitTextLong holds that time grows with the text, not with its square:
// the second text is one user-perceived character throughout.
func TestSplitTextLong(t *testing.T) {
	for _, text := range []string{strings.Repeat("word ", 400_000), "e" + strings.Repeat("\u0301", 1_000_000)} {
		began := time.Now()
		parts := schemas.SplitText(text, 70)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%d parts took %s", len(parts), took)
		}
		if got, want := withoutSpace(strings.Join(parts, "")), withoutSpace(text); got != want {
			t.Error("something was lost")
		}
	}
}

// FuzzSplitText holds what SplitText promises for any text: no part over the
// limit, nothing but white space lost, order kept, no character parted while a
// whole one would fit.
func FuzzSplitText(f *testing.F) {
	for _, seed := range []string{"", "hello there", "👩‍👩‍👧‍👦 and 👍🏽", "e\u0301e\u0301e\u0301", "\xff\xfe a", "  a  b  "} {
		f.Add(seed, 4)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		parts := schemas.SplitText(text, limit)
		limit = max(limit, 2)
		text = strings.ToValidUTF8(text, "\ufffd")
		for _, p := range parts {
			if n := schemas.TextUnits(p); n == 0 || n > limit {
				t.Fatalf("part %q has %d units, limit %d", p, n, limit)
			}
			if !utf8.ValidString(p) {
				t.Fatalf("part %q is not UTF-8", p)
			}
		}
		if got, want := withoutSpace(strings.Join(parts, "")), withoutSpace(text); got != want {
			t.Fatalf("parts hold %q, text holds %q", got, want)
		}
		if text != "" && schemas.TextUnits(text) <= limit && len(parts) != 1 {
			t.Fatalf("text that fits came in %d parts", len(parts))
		}
	})
}

// FuzzSegments holds the count against an independent count: the room of all
// segments suffices, and one segment fewer would not.
func FuzzSegments(f *testing.F) {
	f.Add("hello €")
	f.Add(strings.Repeat("👍", 67))
	f.Fuzz(func(t *testing.T, text string) {
		n, encoding := schemas.Segments(text)
		units := 0
		switch encoding {
		case schemas.EncodingGSM7:
			for _, r := range text {
				units++
				if strings.ContainsRune("\f^{}\\[~]|€", r) {
					units++
				}
			}
			checkRoom(t, n, units, 160, 153)
		case schemas.EncodingUCS2:
			units = len(utf16.Encode([]rune(text)))
			checkRoom(t, n, units, 70, 67)
		default:
			t.Fatalf("encoding %q", encoding)
		}
	})
}

func checkRoom(t *testing.T, n, units, single, joined int) {
	t.Helper()
	switch {
	case units == 0 && n != 0, units > 0 && units <= single && n != 1, units > single && n < 2:
		t.Fatalf("%d units in %d segments", units, n)
	case units > single && (units > n*joined || units <= (n-1)*(joined-1)):
		t.Fatalf("%d units in %d segments of %d", units, n, joined)
	}
}

func withoutSpace(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}
