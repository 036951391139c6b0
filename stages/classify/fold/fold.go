// Package fold brings what people type to one form, so that tables of words can be short: "ＳＴＯＰ!!",
// "Stop." and "s.t.o.p" meet the same entry, as do "Arrêté" and "arrete".
//
// The folded form is lower case without accents, in NFC of its compatibility decomposition (full
// width, ligatures and circled letters become plain ones). Words are divided by one space; where
// punctuation or a line break ends a clause, by one newline instead. Apostrophes of English
// contractions vanish ("don't" is "dont"), others divide ("l'agent" is "l agent"). Emoji are words of
// their own, without skin tone and variation. Folding a folded text changes nothing.
package fold

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Append adds the folded form of text to dst and returns it. For messages of up to 512 bytes in the
// languages Handoff speaks, with emoji, it allocates only what dst lacks in capacity.
func Append(dst []byte, text string) []byte {
	if ascii(text) {
		w := writer{dst: dst}
		for i := 0; i < len(text); i++ {
			switch c := text[i]; {
			case c == ' ':
				w = w.pending(' ')
			case digit(c) || letter(c):
				w = w.divide()
				w.dst = append(w.dst, lower(c))
			default:
				w = foldASCII(w, text, i)
			}
		}
		return w.dst
	}
	var buf [longestPlain]byte
	if len(text) <= longestPlain {
		if plain, ok := plainly(buf[:0], text); ok {
			return appendPlain(dst, plain)
		}
	}
	return appendUnicode(dst, text)
}

// String returns the folded form of text.
func String(text string) string { return string(Append(nil, text)) }

// Unspaced tells scripts that put no spaces between words. Korean does.
func Unspaced(r rune) bool { return r >= 0x2e80 && r < 0xac00 || r >= 0xf900 && r <= 0xfaff }

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendUnicode decomposes, drops what does not count, and folds the rest as ASCII is folded. Three
// rounds reach the fixed point of every text: a fold can lay bare characters that compose anew.
func appendUnicode(dst []byte, text string) []byte {
	plain := text
	for range 3 {
		next := string(norm.NFC.Bytes(letters(nil, norm.NFKD.String(plain))))
		if next == plain {
			break
		}
		plain = next
	}
	return appendPlain(dst, []byte(plain))
}

// appendPlain adds a text whose letters are plain: its words and the dividers between them.
func appendPlain(dst, plain []byte) []byte {
	w := writer{dst: dst}
	for i := 0; i < len(plain); {
		if c := plain[i]; c < utf8.RuneSelf {
			end := i
			for end < len(plain) && (digit(plain[end]) || 'a' <= plain[end] && plain[end] <= 'z') {
				end++
			}
			if end == i {
				w = foldASCII(w, plain, i)
				end++
			} else {
				w = w.word(plain[i:end])
			}
			i = end
			continue
		}
		r, size := utf8.DecodeRune(plain[i:])
		for unspacedLetter(r) && i+size < len(plain) {
			next, n := utf8.DecodeRune(plain[i+size:])
			if !unspacedLetter(next) {
				break
			}
			size += n
		}
		switch {
		case unspacedLetter(r), unicode.IsLetter(r), unicode.IsNumber(r), unicode.IsMark(r):
			w = w.word(plain[i : i+size])
		case unicode.Is(unicode.So, r) || unicode.Is(unicode.Sk, r) && r > 0xffff:
			w = w.pending(' ')
			w = w.word(plain[i : i+size])
			w = w.pending(' ')
		case r == '’' || r == 'ʼ' || r == '‘':
			w = apostrophe(w, plain[i+size:])
		case clauseEnd(r):
			w = w.pending('\n')
		default:
			w = w.pending(' ')
		}
		i += size
	}
	return w.dst
}

// letters copies s in lower case without combining accents and invisible characters; special letters
// that do not decompose become their plain ones.
func letters(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r >= 0x0300 && r <= 0x036f: // combining diacritical marks
		case r >= 0xfe00 && r <= 0xfe0f, r >= 0x1f3fb && r <= 0x1f3ff: // variation, skin tone
		case unicode.Is(unicode.Cf, r): // joiners, direction marks, soft hyphen, BOM
		case r == utf8.RuneError:
			dst = append(dst, ' ')
		default:
			if plain, ok := plainLetter(unicode.ToLower(r)); ok {
				dst = append(dst, plain...)
			} else {
				dst = utf8.AppendRune(dst, unicode.ToLower(r))
			}
		}
	}
	return dst
}

// plainLetter returns the plain form of Latin letters that Unicode does not decompose.
func plainLetter(r rune) (string, bool) {
	switch r {
	case 'ß':
		return "ss", true
	case 'ø':
		return "o", true
	case 'ł':
		return "l", true
	case 'ı':
		return "i", true
	case 'æ':
		return "ae", true
	case 'œ':
		return "oe", true
	case 'đ', 'ð':
		return "d", true
	case 'þ':
		return "th", true
	}
	return "", false
}

// clauseEnd tells whether a character outside ASCII ends a clause.
func clauseEnd(r rune) bool {
	switch r {
	case '。', '、', '！', '？', '；', '：', '，', '…', '—', '–', '¿', '¡', '·', '‥', '\u2028', '\u2029', '\u0085':
		return true
	}
	return false
}

// writer appends words and the dividers between them. Its methods return the changed writer, so that
// the bytes of the caller stay on its stack.
//
// It has few and small fields so that it stays in registers: every letter passes through it.
type writer struct {
	dst []byte
	// begun: a word was written.
	begun bool
	// divider to write before the next word; 0 for none.
	divider byte
}

func (w writer) pending(divider byte) writer {
	if w.begun && w.divider != '\n' {
		w.divider = divider
	}
	return w
}

func (w writer) word(s []byte) writer {
	w = w.divide()
	w.dst = append(w.dst, s...)
	return w
}

func (w writer) divide() writer {
	w.begun = true
	if w.divider != 0 {
		w.dst = append(w.dst, w.divider)
		w.divider = 0
	}
	return w
}

// text is what is folded: as written, or with plain letters.
type text interface{ ~string | ~[]byte }

// foldASCII folds the character at s[i], an ASCII one.
func foldASCII[T text](w writer, s T, i int) writer {
	c := s[i]
	switch {
	case digit(c) || letter(c):
		w = w.divide()
		w.dst = append(w.dst, lower(c))
		return w
	case c == '\'' || c == '`':
		return apostrophe(w, s[i+1:])
	case c == '.' || c == ',':
		if between(s, i, digit) { // 12.50 stays one number
			return w
		}
		if between(s, i, letter) && !wordAfter(s[i+1:], 2) { // s.t.o.p: initials, not clauses
			return w.pending(' ')
		}
		return w.pending('\n')
	case c == '!' || c == '?' || c == ';' || c == ':' || c == '\n' || c == '\r' || c == '(' || c == ')':
		return w.pending('\n')
	case c == '-' && i > 0 && s[i-1] == ' ': // a dash, not a hyphen
		return w.pending('\n')
	}
	return w.pending(' ')
}

// apostrophe drops it before the ending of an English contraction and divides elsewhere.
func apostrophe[T text](w writer, rest T) writer {
	if w.begun && w.divider == 0 && contraction(rest) {
		return w
	}
	return w.pending(' ')
}

func contraction[T text](rest T) bool {
	n := 0
	for n < len(rest) && letter(rest[n]) {
		n++
	}
	if n < len(rest) && rest[n] >= utf8.RuneSelf {
		return false
	}
	switch string(rest[:n]) {
	case "t", "s", "m", "d", "re", "ve", "ll", "T", "S", "M", "D", "RE", "VE", "LL":
		return true
	}
	return false
}

func digit(c byte) bool  { return '0' <= c && c <= '9' }
func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func between[T text](s T, i int, is func(byte) bool) bool {
	return i > 0 && i+1 < len(s) && is(s[i-1]) && is(s[i+1])
}

// wordAfter tells whether s begins with at least n letters.
func wordAfter[T text](s T, n int) bool {
	for i := range n {
		if i >= len(s) || !letter(s[i]) {
			return false
		}
	}
	return true
}
