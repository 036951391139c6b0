package corpus

import (
	"hash/fnv"
	"slices"

	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/train"
)

// Heads of the shipped model.
const (
	HeadIntent   = "intent"
	HeadOptOut   = "opt_out"
	HeadTone     = "tone"
	HeadLanguage = "language"
)

// Features is how many features the shipped model keeps.
const Features = 1 << 15

// Job makes the training job of the shipped model: every message that is not held back.
func Job(name string, messages []Message, seed uint64) *train.Job {
	j := &train.Job{Name: name, Cost: 0.5, Features: Features, Seed: seed}
	intents := train.Head{Name: HeadIntent, Labels: intent.All()}
	optOut := train.Head{Name: HeadOptOut, Labels: []string{OptOut, WrongNumber}}
	tone := train.Head{Name: HeadTone, Labels: []string{"positive", "negative", "strongly_negative"}}
	language := train.Head{Name: HeadLanguage, Labels: Languages()}
	for _, m := range messages {
		if m.Held {
			continue
		}
		j.Texts = append(j.Texts, m.Text)
		j.Groups = append(j.Groups, m.Family)
		intents.Of = append(intents.Of, intentOf(m, intents.Labels))
		optOut.Of = append(optOut.Of, optOutOf(m))
		tone.Of = append(tone.Of, toneOf(m))
		language.Of = append(language.Of, languageOf(m, language.Labels))
	}
	j.Heads = []train.Head{intents, optOut, tone, language}
	return j
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

func optOutOf(m Message) int {
	switch {
	case m.Label == OptOut:
		return 0
	case m.Label == WrongNumber:
		return 1
	case m.OptOutUnknown:
		return train.Skip
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
