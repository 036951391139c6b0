package rules

// leastWeight is how much more a language must weigh than the next to be the message's own when the
// conversation spoke another: about two words of its own.
const leastWeight = 20

// speaks returns the language of a message: by its script where that shows it, else the one with the
// most words, else the hint.
func (m *message) speaks(l *lexicon, hint string) string {
	switch {
	case m.kana:
		return "ja"
	case m.han:
		if hint == "ja" && m.count == 1 && len(m.folded) <= 12 {
			return hint // a few characters that both languages write
		}
		return "zh"
	}
	best, next, of := 0, 0, -1
	hinted := 0
	for i, name := range l.languages {
		w := m.weight[i]
		if name == hint {
			hinted = w
		}
		switch {
		case w > best:
			best, next, of = w, best, i
		case w > next:
			next = w
		}
	}
	switch {
	case of < 0, best == next && hinted < best && hint != "":
		return hint
	case hint != "" && best-hinted < leastWeight:
		return hint
	case best == next:
		return hint
	}
	return l.languages[of]
}
