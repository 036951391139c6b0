// Package shipped is the classifier that ships, "handoff/1": a trained model that reads intent, opt-out,
// tone and language in one pass, and the rules of package rules for what it is unsure about. A shop's own
// model can stand beside it. It reads a message and gives an intent.Reading.
//
// The model's bytes stand here with their provenance; docs/model-card.md says what they can and cannot
// do, docs/decisions/0010-a-trained-model-with-rules-beside-it.md why it is made so.
package shipped

import (
	_ "embed"
	"fmt"

	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/model"
	"github.com/handoff-dev/handoff/stages/classify/rules"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

//go:embed handoff.model
var weights []byte

const (
	// placed is the confidence from which a message counts as placed.
	placed = 0.6
	// fragment is how many bytes a message has at most that shows the model too little: it needs the
	// confidence enough.
	fragment = 12
	enough   = 0.75
	// mayAsk is the score of "human" from which the rules are asked whether a person is asked for.
	mayAsk = -0.75
	// mayFeel is the score of a tone from which the rules weigh its words.
	mayFeel = -0.8
	// spoken is the lead from which a message's own language counts against the conversation's, sentence the
	// bytes that it needs for that.
	spoken   = 0.5
	sentence = 8
)

// maxScores is the most labels that all heads of the shipped model may have.
const maxScores = 64

// span is a head's place in the scores.
type span struct {
	from, to int
	head     *model.Head
}

// Classifier reads messages. It never changes and may be used by many goroutines at once.
type Classifier struct {
	model                                  *model.Model
	words                                  *words.Table
	rules                                  *rules.Rules
	intents, optOut, wrong, tone, language span
	human                                  int
	evidence                               *evidence
	wishes                                 *wishes
	// brand is a shop's own model; nil for none.
	brand       *model.Model
	brandIntent span
	name        string
}

var _ intent.Classifier = (*Classifier)(nil)

// New returns the classifier with the model that ships.
func New() (*Classifier, error) { return Parse(weights) }

// Parse returns the classifier with a model of the shipped one's heads.
func Parse(b []byte) (*Classifier, error) {
	m, err := model.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("the shipped model: %w", err)
	}
	c := &Classifier{model: m, name: m.Name()}
	for _, h := range []struct {
		name string
		span *span
	}{
		{"intent", &c.intents}, {"opt_out", &c.optOut}, {"wrong_number", &c.wrong}, {"tone", &c.tone}, {"language", &c.language},
	} {
		if *h.span, err = spanOf(m, h.name); err != nil {
			return nil, err
		}
	}
	if m.Lanes() > maxScores || c.optOut.to-c.optOut.from != 1 || c.wrong.to-c.wrong.from != 1 || c.tone.to-c.tone.from != 3 {
		return nil, fmt.Errorf("the shipped model: %w: its heads have other labels", model.ErrModel)
	}
	for i, label := range c.intents.head.Labels {
		if label == intent.Human {
			c.human = c.intents.from + i
		}
	}
	if c.words, err = words.Shipped(); err != nil {
		return nil, err
	}
	if c.rules, err = rules.New(c.words); err != nil {
		return nil, err
	}
	if c.evidence, err = newEvidence(c.words); err != nil {
		return nil, err
	}
	if c.wishes, err = parseWishes(shippedWishes); err != nil {
		return nil, err
	}
	return c, nil
}

func spanOf(m *model.Model, name string) (span, error) {
	first, h, ok := m.Head(name)
	if !ok {
		return span{}, fmt.Errorf("model %s: %w: it has no head %q", m.Name(), model.ErrModel, name)
	}
	return span{first, first + len(h.Labels), h}, nil
}

// With returns the classifier with a shop's own model beside it: where that knows a message, its intent counts.
func (c *Classifier) With(brand *model.Model) (*Classifier, error) {
	at, err := spanOf(brand, "intent")
	if err != nil {
		return nil, err
	}
	with := *c
	with.brand, with.brandIntent, with.name = brand, at, c.name+"+"+brand.Name()
	return &with, nil
}

// Name returns the model's name with its version, and the shop's model's.
func (c *Classifier) Name() string { return c.name }

// Read reads one message; see intent.Classifier.
func (c *Classifier) Read(text, language string) intent.Reading {
	var folding [model.Longest + 64]byte
	return c.ReadFolded(fold.Append(folding[:0], text), text, language)
}

// ReadFolded reads one message of which the folded form is known, as fold.Append leaves it.
func (c *Classifier) ReadFolded(folded []byte, text, language string) intent.Reading {
	if len(folded) > model.Longest {
		folded = folded[:model.Longest]
	}
	if len(folded) > shortest {
		var room [model.MaxFeatures + model.MaxSequences + words.Most]uint32
		return c.read(folded, text, language, room[:0])
	}
	var room [4*shortest + 64 + 3*(shortest/2+1) + words.Most]uint32
	return c.read(folded, text, language, room[:0])
}

// shortest is the length up to which a message needs little memory, which must be zeroed first.
const shortest = 128

func (c *Classifier) read(folded []byte, text, language string, room []uint32) intent.Reading {
	if len(folded) == 0 {
		return intent.Reading{Unsure: true, Language: language}
	}
	var scores [maxScores]float32
	var meanings words.Meanings
	c.words.Read(&meanings, folded)
	features := model.Features(room, folded, text)
	letters := len(features)
	features = model.Sequences(features, folded)
	features = c.words.Features(features, &meanings)
	c.model.Score(scores[:], features)

	var out intent.Reading
	best := c.intents.best(scores[:])
	out.Intent, out.Confidence, out.OutOfScope = c.intents.head.Labels[best.Label], best.Trust, best.Outside
	out.Because = c.name
	c.speak(&out, scores[:], folded, language)
	c.judgeOptOut(&out, scores[:], &meanings, folded)
	if (out.OptOut != intent.OptOutNone || c.evidence.mayWish(&meanings)) && c.wishes.speak(folded, out.OptOut == intent.OptOutClear) {
		out = c.reconsider(out, string(folded), language)
	}
	feels := scores[c.tone.from] > mayFeel || scores[c.tone.from+1] > mayFeel || scores[c.tone.from+2] > mayFeel
	if best.Trust < placed || scores[c.human] > mayAsk || feels {
		c.ask(&out, c.rules.Read(&meanings, folded, text))
	}
	if out.OptOut == intent.OptOutClear && !c.evidence.asksBesides(out.Intent, &meanings, folded) {
		out.Unsure = true // it asks for nothing else (C5)
	}
	if len(folded) <= fragment && out.Confidence < enough && out.Because == c.name {
		out.Unsure = true
	}
	c.feel(&out, scores[:])
	if c.brand != nil {
		c.own(&out, features[:letters])
	}
	return out
}

func (s span) best(scores []float32) model.Best { return s.head.Best(scores[s.from:s.to]) }

func (s span) top(scores []float32) (label int, score, lead float32) {
	return model.Top(scores[s.from:s.to])
}

// ask lets the rules place what the model does not, tell whether a person is asked for outright, and weigh
// the words of praise and blame.
func (c *Classifier) ask(out *intent.Reading, r intent.Reading) {
	out.AsksForPerson, out.Sentiment = r.AsksForPerson, r.Sentiment
	if out.Confidence >= placed {
		return
	}
	if !r.Unsure {
		out.Intent, out.Confidence, out.Because, out.OutOfScope = r.Intent, r.Confidence, r.Because, false
		return
	}
	out.Unsure = true
}

// speak fills in the language: the message's own where it shows, else the conversation's.
func (c *Classifier) speak(out *intent.Reading, scores []float32, folded []byte, language string) {
	label, _, lead := c.language.top(scores)
	out.Language = c.language.head.Labels[label]
	if language != "" && (lead < spoken || len(folded) < sentence) || !letters(folded) {
		out.Language = language
	}
}

// letters tells whether there are any: numbers show no language.
func letters(folded []byte) bool {
	for _, b := range folded {
		if b >= 'a' {
			return true
		}
	}
	return false
}

// feel fills in the sentiment where the rules' lexicon had no word for it: from the tones' scores.
func (c *Classifier) feel(out *intent.Reading, scores []float32) {
	if out.Sentiment != 0 {
		return
	}
	label, score, _ := c.tone.top(scores)
	if score <= 0 {
		return
	}
	switch size := min(0.3+0.3*score, 0.75); c.tone.head.Labels[label] {
	case "positive":
		out.Sentiment = size
	case "negative":
		out.Sentiment = -size
	default:
		out.Sentiment = -min(size+0.3, 0.95)
	}
}

// own lets a shop's model place the message where it knows it: its labels are the shop's, so they count
// before the shipped ones. Who asks for a person asks for one.
func (c *Classifier) own(out *intent.Reading, features []uint32) {
	var scores [model.MaxLanes]float32
	c.brand.Score(scores[:c.brand.Lanes()], features)
	best := c.brandIntent.best(scores[:])
	if best.Outside || best.Trust < placed || out.AsksForPerson {
		return
	}
	out.Intent, out.Confidence, out.Unsure, out.OutOfScope = c.brandIntent.head.Labels[best.Label], best.Trust, false, false
	out.Because = c.brand.Name()
}
