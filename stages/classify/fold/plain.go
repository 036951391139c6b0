package fold

import "unicode/utf8"

// longestPlain is how many bytes of text the short way takes.
const longestPlain = 512

const (
	firstLatin, lastLatin = 0xc0, 0x17f
	// latin are the plain forms of the Latin letters beyond ASCII, two characters for each; two spaces for
	// those that take the long way. A test compares it with what Unicode says.
	latin = "" +
		"a a a a a a aec e e e e i i i i d n o o o o o   o u u u u y thss" +
		"a a a a a a aec e e e e i i i i d n o o o o o   o u u u u y thy " +
		"a a a a a a c c c c c c c c d d d d e e e e e e e e e e g g g g " +
		"g g g g h h     i i i i i i i i i i ijijj j k k   l l l l l l   " +
		"  l l n n n n n n       o o o o o o oeoer r r r r r s s s s s s " +
		"s s t t t t     u u u u u u u u u u u u w w y y y z z z z z z s "
)

// plainly appends the plain form of text where each of its characters has one by itself, whatever stands
// beside it: what the long way through the Unicode tables would make of it too, in a tenth of the time. It
// is never longer than the text.
func plainly(dst []byte, text string) (plain []byte, ok bool) {
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			dst = append(dst, lower(c))
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r >= firstLatin && r <= lastLatin:
			at := int(r-firstLatin) * 2
			if latin[at] == ' ' {
				return dst, false
			}
			if dst = append(dst, latin[at]); latin[at+1] != ' ' {
				dst = append(dst, latin[at+1])
			}
		case unspacedLetter(r), symbol(r), punctuation(r):
			dst = append(dst, text[i:i+size]...)
		case r > 0xff00 && r < 0xff5f: // full width
			dst = append(dst, lower(byte(r-0xfee0)))
		case r == 0xa0, r == 0x3000:
			dst = append(dst, ' ')
		case r == '…':
			dst = append(dst, "..."...)
		case r == 0xaa, r == 0xba:
			dst = append(dst, "ao"[(r-0xaa)>>4])
		case invisible(r):
		default:
			return dst, false
		}
		i += size
	}
	return dst, true
}

// unspacedLetter tells letters of scripts without spaces that are their own plain form.
func unspacedLetter(r rune) bool {
	return r >= 0x4e00 && r <= 0x9fff || r >= 0x3041 && r <= 0x3096 || r >= 0x30a1 && r <= 0x30fa || r == 0x30fc || r == 0x3005 ||
		r >= 0x3400 && r <= 0x4dbf
}

// symbol tells emoji and what is in their blocks, but for skin tones.
func symbol(r rune) bool {
	return r >= 0x1f300 && r <= 0x1faff && (r < 0x1f3fb || r > 0x1f3ff) || r >= 0x2600 && r <= 0x27bf || r == 0x2b50
}

// punctuation tells marks that are their own plain form.
func punctuation(r rune) bool {
	switch r {
	case '¿', '¡', '«', '»', '·', '§', '£', '€', '°', '’', '‘', '“', '”', '„', '–', '—', '、', '。', '「', '」', '『', '』', '【', '】', '《', '》', '・', '〜':
		return true
	}
	return false
}

// invisible tells what leaves nothing: joiners, direction marks, variation, skin tone, soft hyphen, BOM.
func invisible(r rune) bool {
	return r >= 0x200b && r <= 0x200f || r >= 0xfe00 && r <= 0xfe0f || r >= 0x1f3fb && r <= 0x1f3ff || r == 0xad || r == 0xfeff
}
