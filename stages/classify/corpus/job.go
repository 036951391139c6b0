package corpus

import (
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/train"
)

// Heads of the shipped model.
const (
	HeadIntent   = "intent"
	HeadOptOut   = "opt_out"
	HeadWrong    = "wrong_number"
	HeadTone     = "tone"
	HeadLanguage = "language"
)

// Features is how many features the shipped model keeps.
const Features = 120_000

// fewestParts is how many parts the messages are cut into at least, of which each is read by a model that learned
// from the others: else as many as there are authors, so that no two authors are held back together.
const fewestParts = 5

// How much more an error costs on a message that someone wrote, for Handoff or anywhere, than on a grown one,
// of which a pattern has sixteen.
const (
	authored = 3
	natural  = 9
)

func weightOf(m Message) float32 {
	switch {
	case m.Author != "":
		return authored
	case m.Natural:
		return natural
	}
	return 1
}

// What an error costs on a grown message, and the square that a feature adds to a message's length which the model does
// not hold: decision 13 has what others made of opt-outs.
const (
	cost    = 1
	strange = 2
)

// Job makes the training job of the shipped model: every message that is not held back. The parts held back in
// turn are authors, and with each a share of the patterns and natural messages.
func Job(name string, messages []Message, seed uint64) (*train.Job, error) {
	j := &train.Job{Name: name, Cost: cost, Strange: strange, Features: Features, Seed: seed}
	authors := authorsOf(messages)
	wrote := wroteFirst(messages)
	var texts []Message
	intents := train.Head{Name: HeadIntent, Labels: intent.All()}
	optOut := train.Head{Name: HeadOptOut, Labels: []string{OptOut}}
	wrong := train.Head{Name: HeadWrong, Labels: []string{WrongNumber}}
	tone := train.Head{Name: HeadTone, Labels: []string{"positive", "negative", "strongly_negative"}, Compared: true}
	language := train.Head{Name: HeadLanguage, Labels: Languages(), Compared: true}
	for _, m := range messages {
		if m.Held {
			continue
		}
		texts = append(texts, m)
		j.Texts = append(j.Texts, m.Text)
		j.Parts = append(j.Parts, partOf(m, authors, wrote))
		j.Weights = append(j.Weights, weightOf(m))
		intents.Of = append(intents.Of, intentOf(m, intents.Labels))
		optOut.Of = append(optOut.Of, optOutOf(m))
		wrong.Of = append(wrong.Of, wrongOf(m))
		tone.Of = append(tone.Of, toneOf(m))
		language.Of = append(language.Of, languageOf(m, language.Labels))
	}
	var err error
	if optOut.Decide, err = thresholds(texts); err != nil {
		return nil, fmt.Errorf("thresholds of opt-outs: %w", err)
	}
	wrong.Decide = apart(texts)
	j.Heads = []train.Head{intents, optOut, wrong, tone, language}
	return j, nil
}

// authorsOf returns the authors of messages in the order of their names.
func authorsOf(messages []Message) []string {
	var out []string
	for _, m := range messages {
		if m.Author != "" && !slices.Contains(out, m.Author) {
			out = append(out, m.Author)
		}
	}
	slices.Sort(out)
	return out
}

// wroteFirst returns the first author of each text, as it is compared.
func wroteFirst(messages []Message) map[string]string {
	out := map[string]string{}
	for _, m := range messages {
		if m.Author == "" {
			continue
		}
		if text := fold.String(m.Text); out[text] == "" {
			out[text] = m.Author
		}
	}
	return out
}

// partOf is the part of a message: its author's, else its pattern's, or its own where it is of no pattern. A natural
// message that an author wrote too ("enough", said to a device) is held back with that author: read by a model that had
// learned the very text, maybe as something else, it would show nothing of what a stranger's messages meet, and where it
// fell by chance would move the scores that decide.
func partOf(m Message, authors []string, wrote map[string]string) int {
	author := m.Author
	if m.Natural {
		author = wrote[fold.String(m.Text)]
	}
	if author != "" {
		return slices.Index(authors, author)
	}
	h := fnv.New32a()
	if m.Family != "" {
		h.Write([]byte(m.Family))
	} else {
		h.Write([]byte(m.Text))
	}
	sum := h.Sum32()
	return int((sum ^ sum>>15) % uint32(max(len(authors), fewestParts)))
}

func intentOf(m Message, labels []string) int {
	switch m.Label {
	case None, OptOut, WrongNumber:
		return train.None
	}
	if i := slices.Index(labels, m.Label); i >= 0 {
		return i
	}
	return train.Skip
}

// optOutOf is whether a message asks for no more messages. That someone else is written to asks for it too.
func optOutOf(m Message) int {
	switch {
	case m.Label == OptOut || m.Label == WrongNumber:
		return 0
	case m.OptOutUnknown:
		return train.Skip
	}
	return train.None
}

func wrongOf(m Message) int {
	if m.Label == WrongNumber {
		return 0
	}
	return train.None
}

func toneOf(m Message) int {
	switch m.Tone {
	case Positive:
		return 0
	case Negative:
		return 1
	case StrongNegative:
		return 2
	case Neutral:
		return train.None
	case Unknown:
	}
	if m.Natural && m.Label == None {
		return train.None
	}
	return train.Skip
}

// englishShare: one natural message of so many teaches the language, or English would be what every
// unknown word is taken for.
const englishShare = 8

func languageOf(m Message, labels []string) int {
	h := fnv.New32a()
	h.Write([]byte(m.Text))
	if m.Natural && h.Sum32()%englishShare != 0 {
		return train.Skip
	}
	return slices.Index(labels, m.Language)
}
