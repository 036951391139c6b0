package explain

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// stop ends a sentence, unless what it quotes at its end has ended it.
func stop(sentence string) string {
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(sentence, `"`))
	if strings.ContainsRune(".!?…。！？", last) {
		return sentence
	}
	return sentence + "."
}

// quoted puts what somebody said in quotes as they wrote it. Only what would break the line, or turn it round, is
// written otherwise.
func quoted(said string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range said {
		if ofWriting(r) {
			b.WriteRune(r)
			continue
		}
		escaped := strconv.Quote(string(r))
		b.WriteString(escaped[1 : len(escaped)-1])
	}
	b.WriteByte('"')
	return b.String()
}

// ofWriting tells of what people see as they wrote it, besides what can be printed in any case: all kinds of spaces,
// what joins emoji and letters, and the letters that flags are made of.
func ofWriting(r rune) bool {
	return r == '\u200c' || r == '\u200d' || unicode.Is(unicode.Zs, r) || r >= 0xe0020 && r <= 0xe007f
}

func unhex(id string) string {
	b, err := hex.DecodeString(id)
	if err != nil {
		return ""
	}
	return string(b)
}

func place(e Entry) string { return fmt.Sprintf("%s/%d/%d", e.Topic, e.Partition, e.Offset) }

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func by(who string) string {
	if who == "" {
		return ""
	}
	return " by " + who
}

// because puts a reason behind a sentence that stop ends.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// inBrackets puts a reason behind what it is the reason of; brackets of its own become part of it.
func inBrackets(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + strings.NewReplacer(" (", ", ", ")", "").Replace(reason) + ")"
}

func called(name, otherwise string) string {
	if name == "" {
		return otherwise
	}
	return name
}

// words turns an enum's name into words: "OUTCOME_STATUS_DONE" into "done".
func words(name, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", " ")
}

// some is count, without the number where there is only one.
func some(n int, of string) string {
	if n == 1 {
		return of
	}
	return count(n, of)
}

// count says how many of something there are.
func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}
