package fold

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestString(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"case and edges", "  StOp. ", "stop"},
		{"full width", "ＳＴＯＰ！！", "stop"},
		{"circled", "ⓢⓣⓞⓟ", "stop"},
		{"accents", "Arrêté", "arrete"},
		{"decomposed accents", "Arre\u0302t", "arret"},
		{"Turkish dotted I", "İPTAL", "iptal"},
		{"Turkish dotless i", "Hayır", "hayir"},
		{"letters that do not decompose", "Größe łódź Øre", "grosse lodz ore"},
		{"English contraction", "I don't / I don’t", "i dont i dont"},
		{"elision", "l'agent d’accord", "l agent d accord"},
		{"clauses", "ok, thanks!  Bye", "ok\nthanks\nbye"},
		{"numbers keep their points", "it cost 1,250.50.", "it cost 125050"},
		{"initials", "S.T.O.P", "s t o p"},
		{"hyphen and dash", "opt-out - now", "opt out\nnow"},
		{"emoji are words", "thanks🙏🏽👍️", "thanks 🙏 👍"},
		{"Japanese", "はい、お願いします。", "はい\nお願いします"},
		{"half-width kana", "ｽﾄｯﾌﾟ", "ストップ"},
		{"voiced kana stay voiced", "がんばる", "がんばる"},
		{"Chinese", "好的，谢谢！", "好的\n谢谢"},
		{"invisible characters", "st\u200bop\ufeff", "stop"},
		{"hangul", "중지", "중지"},
		{"invalid UTF-8", "sto\xffp", "sto p"},
		{"nothing", " .!? ", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := String(c.in); got != c.want {
				t.Errorf("String(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

// check is what holds for the folded form of every text.
func check(t interface{ Fatalf(string, ...any) }, in string) {
	once := String(in)
	if twice := String(once); twice != once {
		t.Fatalf("folding %q gives %q, folding again %q", in, once, twice)
	}
	if !utf8.ValidString(once) {
		t.Fatalf("folding %q gives invalid UTF-8 %q", in, once)
	}
	for _, bad := range []string{"  ", "\n\n", " \n", "\n "} {
		if strings.Contains(once, bad) {
			t.Fatalf("folding %q gives two dividers in a row: %q", in, once)
		}
	}
	if strings.TrimSpace(once) != once {
		t.Fatalf("folding %q leaves a divider at an end: %q", in, once)
	}
	if got := string(Append([]byte("x"), in)); got != "x"+once {
		t.Fatalf("Append to x gives %q, want x%q", got, once)
	}
}

func TestFoldingHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.String().Draw(t, "text")) })
}

func FuzzString(f *testing.F) {
	for _, s := range []string{"STOP", "ＳＴＯＰ", "s.t.o.p", "don't", "l'été", "👍🏽", "ｽﾄｯﾌﾟ", "1,2.3", "\xff", "İı", "a\u0345\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) { check(t, in) })
}

func TestASCIIDoesNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { buf = Append(buf[:0], "Where is my ORDER #1234? I don't see it.") }); n != 0 {
		t.Errorf("folding ASCII allocates %v times", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, text := range map[string]string{
		"ascii":  "Where is my order 12345? It hasn't arrived.",
		"french": "Où est ma commande 12345 ? Elle n'est pas arrivée.",
	} {
		b.Run(name, func(b *testing.B) {
			buf := make([]byte, 0, 256)
			b.ReportAllocs()
			for b.Loop() {
				buf = Append(buf[:0], text)
			}
		})
	}
}

// TestShortWay holds the short way through the letters to the long one.
func TestShortWay(t *testing.T) {
	same := func(text string) {
		t.Helper()
		plain, ok := plainly(nil, text)
		if !ok {
			return
		}
		if len(plain) > len(text) {
			t.Errorf("%q grows to %q", text, plain)
		}
		if short, long := string(appendPlain(nil, plain)), string(appendUnicode(nil, text)); short != long {
			t.Errorf("%q (%U) folds to %q the short way, %q the long", text, []rune(text), short, long)
		}
	}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		same(string(r))
		same("don" + string(r) + "t a" + string(r) + "1.")
	}
	rapid.Check(t, func(r *rapid.T) {
		same(rapid.StringOf(rapid.RuneFrom([]rune("aB1 .,'’éÉßłİı…！Ａ、。はガ注😀👍🏽‍️¿ªº—  "))).Draw(r, "text"))
	})
}

func TestFoldingDoesNotAllocate(t *testing.T) {
	var buf [512]byte
	for _, text := range []string{"It's where?", "Où est ma commande… été ?", "Größe łódź Şğı", "注文はどこ？ガ", "我的订单！", "thanks 🙏🏽❤️ it’s 👩‍👧"} {
		if n := testing.AllocsPerRun(20, func() { Append(buf[:0], text) }); n != 0 {
			t.Errorf("folding %q allocates %v times", text, n)
		}
	}
}
