package schemas

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// The two encodings an SMS can travel in. A text is GSM7 when every character
// of it is in the GSM 03.38 default alphabet or its extension table, else
// UCS2, which carriers fill with UTF-16.
const (
	EncodingGSM7 = "GSM-7"
	EncodingUCS2 = "UCS-2"
)

// Room of one SMS, in septets (GSM-7) or UTF-16 units (UCS-2). A text of
// several segments loses the room of the header that joins them.
const (
	gsm7Single, gsm7Joined = 160, 153
	ucs2Single, ucs2Joined = 70, 67
)

// gsm7Basic is the default alphabet of GSM 03.38 without the escape character:
// one septet each.
const gsm7Basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

// gsm7Extended is the extension table: an escape and a second septet, which
// are never parted.
const gsm7Extended = "\f^{}\\[~]|€"

// Segments says how many SMS a text is sent (and charged) as, and in which
// encoding: EncodingGSM7 or EncodingUCS2. The empty text is no segment.
//
// A text that fits one SMS has 160 septets or 70 UTF-16 units of room; a longer
// one has 153 or 67 in each. An escape sequence or a surrogate pair is never
// parted, so a segment may end one short. Bytes that are not UTF-8 count as the
// replacement character, one each.
func Segments(text string) (n int, encoding string) {
	if text == "" {
		return 0, EncodingGSM7
	}
	if isGSM7(text) {
		return countSegments(text, gsm7Single, gsm7Joined, gsm7Width), EncodingGSM7
	}
	return countSegments(text, ucs2Single, ucs2Joined, utf16Width), EncodingUCS2
}

func isGSM7(text string) bool {
	for _, r := range text {
		if gsm7Width(r) == 0 {
			return false
		}
	}
	return true
}

// gsm7Width is the number of septets a character takes, 0 when GSM-7 lacks it.
func gsm7Width(r rune) int {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == ' ':
		return 1
	case strings.ContainsRune(gsm7Basic, r):
		return 1
	case strings.ContainsRune(gsm7Extended, r):
		return 2
	default:
		return 0
	}
}

func utf16Width(r rune) int {
	if n := utf16.RuneLen(r); n > 0 {
		return n
	}
	return 1
}

// countSegments fills segments in order; a character that does not fit whole
// opens the next one.
func countSegments(text string, single, joined int, width func(rune) int) int {
	total, segments, used := 0, 1, 0
	for _, r := range text {
		w := width(r)
		total += w
		if used+w > joined {
			segments++
			used = 0
		}
		used += w
	}
	if total <= single {
		return 1
	}
	return segments
}

// TextUnits is the length of a text in UTF-16 units, the measure in which
// channels state their limits (Twilio 1600, Messenger 2000, LINE 5000) or which
// is never below theirs.
func TextUnits(text string) int {
	n := 0
	for _, r := range text {
		n += utf16Width(r)
	}
	return n
}

// SplitText cuts a text into parts of at most limit UTF-16 units, in order: at
// the last white space that fits, else between user-perceived characters, and
// only where one such character alone exceeds the limit between its code
// points. A surrogate pair or the bytes of one code point are never parted, so
// a limit below 2 is taken as 2. White space at a cut is dropped, everything
// else is kept in order; a run of bytes that are not UTF-8 becomes U+FFFD. A
// text that fits is returned as it is; an empty text, or an all-white one that
// does not fit, yields no part.
func SplitText(text string, limit int) []string {
	limit = max(limit, 2)
	if 0 < len(text) && len(text) <= limit && utf8.ValidString(text) { // no character has fewer bytes than units
		return []string{text}
	}
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	left := TextUnits(text)
	if left <= limit {
		if text == "" {
			return nil
		}
		return []string{text}
	}
	var parts []string
	for rest := text; rest != ""; {
		cut := len(rest)
		if left > limit {
			cut = cutAt(rest, limit)
		}
		if part := strings.TrimRightFunc(rest[:cut], unicode.IsSpace); part != "" {
			parts = append(parts, part)
		}
		after := strings.TrimLeftFunc(rest[cut:], unicode.IsSpace)
		left -= TextUnits(rest[:len(rest)-len(after)])
		rest = after
	}
	return parts
}

// cutAt finds where a text that is too long is cut: the byte offset after the
// last white space whose preceding words fit, else after the last grapheme
// cluster that fits, else after the last code point that fits. It looks no
// further than just past the limit, so that a text of any length is split in one
// pass.
func cutAt(text string, limit int) int {
	text = text[:cutCodePoints(text, limit+2)]
	used, lastSpace, lastCluster := 0, 0, 0
	state := -1
	for at := 0; at < len(text); {
		var cluster string
		cluster, _, _, state = uniseg.FirstGraphemeClusterInString(text[at:], state)
		first, _ := utf8.DecodeRuneInString(cluster)
		if unicode.IsSpace(first) && at > 0 {
			lastSpace = at
		}
		used += TextUnits(cluster)
		if used > limit {
			break
		}
		at += len(cluster)
		lastCluster = at
	}
	if lastSpace > 0 {
		return lastSpace
	}
	if lastCluster > 0 {
		return lastCluster
	}
	return cutCodePoints(text, limit)
}

// cutCodePoints is the length in bytes of the longest prefix of whole code points
// that fits.
func cutCodePoints(text string, limit int) int {
	used := 0
	for at, r := range text {
		used += utf16Width(r)
		if used > limit {
			return at
		}
	}
	return len(text)
}
