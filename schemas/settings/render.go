package settings

import (
	"fmt"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas/settings/rules"
)

// Text returns a text in the conversation's language, else the shop's, else English, with [bot],
// [shop name], [support contact] and the given pairs (name without brackets, value) filled in.
func (s *Shop) Text(id TextID, language string, pairs ...string) string {
	text, _ := s.textIn(id, language)
	return s.Fill(text, pairs...)
}

// Fill fills in a text of the shop's own as Text does. What is not known is left out, with the space before it.
func (s *Shop) Fill(text string, pairs ...string) string {
	if !strings.Contains(text, "[") {
		return text // most are whole as they are, and a replacer costs more than all else here
	}
	filled := []string{"[bot]", s.Bot, "[shop name]", s.Name, "[support contact]", s.SupportContact}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" { // "Hi [customer name], …" is "Hi, …" to whom nobody knows
			filled = append(filled, " ["+pairs[i]+"]", "")
		}
		filled = append(filled, "["+pairs[i]+"]", pairs[i+1])
	}
	return strings.NewReplacer(filled...).Replace(text)
}

// textIn looks a text up: what the shop set in the conversation's language, then in its own, then in
// English. An English conversation at a shop of another language gets English, set or shipped. It also tells which
// language the text is in.
func (s *Shop) textIn(id TextID, language string) (text, in string) {
	for _, lang := range []string{language, base(language), s.Language, base(s.Language), english} {
		if t, ok := s.Texts[lang][id]; ok {
			return t, lang
		}
		if lang == english {
			break
		}
	}
	return id.Default(), english
}

// RuleText is what a rule writes, in the conversation's language, else the shop's, else the one for all.
func (s *Shop) RuleText(texts rules.Texts, id, language string, pairs ...string) string {
	if id != "" {
		return s.Text(TextID(id), language, pairs...)
	}
	for _, lang := range []string{language, base(language), s.Language, base(s.Language), "", english} {
		if t, ok := texts[lang]; ok {
			return s.Fill(t, pairs...)
		}
	}
	return ""
}

// english is the language of the shipped texts.
const english = "en"

// base returns the language without its region: "pt" of "pt-BR".
func base(language string) string {
	b, _, _ := strings.Cut(language, "-")
	return b
}

// Date formats a day for notes, in the shop's zone: "Nov 22, 2026".
func (s *Shop) Date(t time.Time) string { return t.In(s.Location()).Format("Jan 2, 2006") }

// Moment formats a time for notes, in the shop's zone: "Nov 22, 2026, 15:04".
func (s *Shop) Moment(t time.Time) string { return t.In(s.Location()).Format("Jan 2, 2006, 15:04") }

// Span says a duration in words for notes: "24 hours", "1 hour", "90 minutes", "20 seconds".
func Span(d time.Duration) string {
	count := func(n int64, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return count(int64(d/time.Hour), "hour")
	case d >= time.Minute && d%time.Minute == 0:
		return count(int64(d/time.Minute), "minute")
	}
	return count(int64(d.Round(time.Second)/time.Second), "second")
}
