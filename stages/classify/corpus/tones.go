package corpus

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Tones returns messages with words of praise and blame in them: neutral ones of the corpus with a word
// of the lexicon before or after. lexicon has the format of the rules' lexicon.tsv.
func (c *Corpus) Tones(lexicon string, seed uint64) ([]Message, error) {
	tones := map[string]Tone{"STRONGNEG": StrongNegative, "MILDNEG": Negative, "POS": Positive, "STRONGPOS": Positive}
	neutral := map[string][]Message{}
	for _, m := range c.Messages {
		if m.Tone == Neutral && !m.Held && !m.Natural && m.Label != None && m.Label != "spam" {
			neutral[m.Language] = append(neutral[m.Language], m)
		}
	}
	r := rand.New(rand.NewPCG(seed, 99))
	var out []Message
	for n, line := range strings.Split(lexicon, "\n") {
		columns := strings.Split(line, "\t")
		tone, ok := tones[columns[0]]
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if len(columns) != 3 {
			return nil, fmt.Errorf("lexicon line %d: want concept, language, patterns", n+1)
		}
		language := columns[1]
		for word := range strings.SplitSeq(columns[2], "|") {
			word = strings.TrimSuffix(word, "*")
			out = append(out, Message{Text: word, Language: language, Tone: tone, Family: "lexicon:" + columns[0] + language})
			for range 6 {
				if len(neutral[language]) == 0 {
					continue
				}
				m := neutral[language][r.IntN(len(neutral[language]))]
				text := join(m.Text, word, language)
				if r.IntN(2) == 0 {
					text = join(word, m.Text, language)
				}
				out = append(out, Message{Text: text, Language: language, Tone: tone, Family: "lexicon:" + columns[0] + language})
			}
		}
	}
	return out, nil
}
