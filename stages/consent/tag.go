package consent

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/htmltext"
)

// optOutByAgent unsubscribes by an agent's tag. Where there is nothing to unsubscribe, escalate learns
// why nothing changed (C8). The reply is not sent, and the subscriber gets nothing.
func optOutByAgent(t *turn.Turn, a *handoffv1.AgentReply, tag string) {
	now := current(t, t.Here())
	switch now.GetStatus() {
	case handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED, handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL:
		optOut(t, t.Here(), change{source: handoffv1.ConsentSource_CONSENT_SOURCE_AGENT, keyword: tag, text: a.GetText()}, a.GetTicketId())
	default:
		since := now.GetSince()
		if since == nil {
			since = t.AtStamp()
		}
		notice(t, t.Here(), &handoffv1.ConsentNotice{
			Kind:    handoffv1.ConsentNoticeKind_CONSENT_NOTICE_KIND_OPT_OUT_REFUSED,
			Keyword: tag, Source: handoffv1.ConsentSource_CONSENT_SOURCE_AGENT, Scope: now.scope,
			Prior: now.GetStatus(), Status: now.GetStatus(), Since: since, Text: a.GetText(), TicketId: a.GetTicketId(),
		})
	}
}

// optOutTag returns the #optout or #opt-out of an agent's reply as written, "" when there is none: any
// case, full width too, a word of its own, outside quoted history.
func optOutTag(text string) string {
	for line := range strings.Lines(htmltext.CutQuoted(text)) {
		if tag := tagIn(line); tag != "" {
			return tag
		}
	}
	return ""
}

// tagIn finds the tag in one line.
func tagIn(line string) string {
	for i, r := range line {
		if r != '#' && r != '＃' {
			continue
		}
		rest := line[i+utf8.RuneLen(r):]
		n := tagLength(rest)
		if n == 0 {
			continue
		}
		before, _ := utf8.DecodeLastRuneInString(line[:i])
		after, _ := utf8.DecodeRuneInString(rest[n:])
		if (i == 0 || opens(before) && !inLink(line[:i])) && (n == len(rest) || closes(after)) {
			return line[i : i+utf8.RuneLen(r)+n]
		}
	}
	return ""
}

// inLink tells whether what follows is the rest of an address that a page is found at.
func inLink(before string) bool {
	word := before[strings.LastIndexFunc(before, unicode.IsSpace)+1:]
	return strings.Contains(word, "://")
}

// tagLength returns how many bytes of s are "optout" or "opt-out", 0 when it begins with neither.
func tagLength(s string) int {
	opt := wordLength(s, "opt")
	if opt == 0 {
		return 0
	}
	n := opt
	if r, size := utf8.DecodeRuneInString(s[n:]); unicode.Is(unicode.Pd, r) {
		n += size
	}
	out := wordLength(s[n:], "out")
	if out == 0 {
		return 0
	}
	return n + out
}

// wordLength returns how many bytes of s are a word of small letters in any case, in full width too; 0 when it does not
// begin with it.
func wordLength(s, word string) (n int) {
	const fullWidth = 'Ａ' - 'A'
	for _, want := range word {
		r, size := utf8.DecodeRuneInString(s[n:])
		if r >= 'Ａ' && r <= 'ｚ' {
			r -= fullWidth
		}
		if unicode.ToLower(r) != want {
			return 0
		}
		n += size
	}
	return n
}

// opens tells whether a tag may stand after r: not inside a word, an address or another tag.
func opens(r rune) bool {
	return unicode.IsSpace(r) || unicode.Is(unicode.Zs, r) || strings.ContainsRune(`([{"'“‘«.,;:!?*_`+"`", r) || unicode.Is(unicode.So, r) || r > 0x2e7f && !unicode.IsDigit(r)
}

// closes tells whether r ends a tag.
func closes(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '_' && !unicode.Is(unicode.Pd, r)
}
