package corpus

import (
	"cmp"
	"math"
	"slices"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/stages/classify/answer"
	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/keyword"
	"github.com/handoff-dev/handoff/stages/classify/model"
	"github.com/handoff-dev/handoff/stages/classify/train"
)

// Of natural messages, which are about anything but opting out, so many a million may be taken for opt-outs, and so
// many go before a person. That the first is kept is as sure as sure.
const (
	takenOfMillion = 200
	askedOfMillion = 1500
	sure           = 0.6
)

// thresholds chooses the scores from which a message opts out, and may opt out, by the natural messages among those
// held back: each was read by a model that had not learned from it. Nobody looks at a message for it.
func thresholds(texts []Message) (func(h *model.Head, reads []train.Read), error) {
	scored, err := newScored()
	if err != nil {
		return nil, err
	}
	return func(h *model.Head, reads []train.Read) {
		var natural []float32
		for _, r := range reads {
			if texts[r.Text].Natural && r.Want == train.None && scored.is(texts[r.Text].Text) {
				natural = append(natural, r.Score)
			}
		}
		if len(natural) == 0 {
			h.Clear, h.Possible = 0, 0
			return
		}
		slices.Sort(natural)
		slices.Reverse(natural)
		h.Clear = above(natural, allowed(float64(len(natural))*takenOfMillion/1e6))
		h.Possible = min(h.Clear, above(natural, len(natural)*askedOfMillion/1e6))
	}, nil
}

// apart chooses the score from which an opt-out is one because someone else is written to: that at which most of the
// authors' opt-outs among those held back are told apart.
func apart(texts []Message) func(h *model.Head, reads []train.Read) {
	return func(h *model.Head, reads []train.Read) {
		var optOuts []train.Read
		for _, r := range reads {
			if m := texts[r.Text]; m.Author != "" && (m.Label == OptOut || m.Label == WrongNumber) {
				optOuts = append(optOuts, r)
			}
		}
		slices.SortStableFunc(optOuts, func(a, b train.Read) int { return cmp.Compare(b.Score, a.Score) })
		right, most := 0, 0
		for i, r := range optOuts {
			if right--; r.Want != train.None {
				right += 2
			}
			if right > most && i+1 < len(optOuts) {
				most, h.Clear = right, (r.Score+optOuts[i+1].Score)/2
			}
		}
		h.Possible = h.Clear
	}
}

// above returns the score between the nth highest, counted from 1, and the next.
func above(descending []float32, n int) float32 {
	n = min(n, len(descending)-1)
	for n > 0 && descending[n-1] == descending[n] { // messages that are alike are taken together or not at all
		n--
	}
	return (descending[max(n-1, 0)] + descending[n]) / 2
}

// allowed is how many false ones may be counted where so many are expected at the rate that may not be passed, so
// that the rate is kept as sure as sure: the counts are Poisson's.
func allowed(expected float64) int {
	term := math.Exp(-expected)
	sum := term
	n := 0
	for ; sum <= 1-sure; n++ {
		term *= expected / float64(n+1)
		sum += term
	}
	return max(n-1, 0)
}

// scored tells which messages are decided by a score at all: a keyword opts out by itself, and what answers a
// question whole never does.
type scored struct {
	keywords *keyword.Table
	answers  *answer.Table
}

func newScored() (*scored, error) {
	k, err := keyword.Shipped()
	if err != nil {
		return nil, err
	}
	a, err := answer.Shipped()
	if err != nil {
		return nil, err
	}
	return &scored{k, a}, nil
}

func (s *scored) is(text string) bool {
	folded := fold.Append(nil, text)
	a := s.answers.Find(folded)
	if (a.Kind != answer.None || a.Thanks) && a.Rest == len(folded) {
		return false
	}
	return s.keywords.Find(folded, handoffv1.Channel_CHANNEL_SMS).Directive == handoffv1.Directive_DIRECTIVE_UNSPECIFIED
}
