package classifier

import (
	"fmt"
	"io"

	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/model"
	"github.com/handoff-dev/handoff/stages/classify/train"
)

// seed of a shop's training: the same messages give the same model.
const seed = 1

// Train trains a model of a shop's own labels and returns its bytes. It writes a report of the fifth of
// the messages that was held back while learning how far to trust the scores; the model itself learns
// from all. steps is told how many steps there will be, step of each that is done; both may be nil.
func Train(t *Table, name string, report io.Writer, steps func(int), step func(int)) ([]byte, error) {
	labels, of := t.Classes()
	switch {
	case len(labels) == 0:
		return nil, fmt.Errorf("%w: no message has a label", ErrTable)
	case len(labels) == 1:
		return nil, fmt.Errorf("%w: all are labelled %q; two labels are the least to tell apart", ErrTable, labels[0])
	case len(labels) > model.MaxLanes:
		return nil, fmt.Errorf("%w: there are %d labels, e.g. %q; at most %d can be told apart", ErrTable, len(labels), labels[0], model.MaxLanes)
	}
	twice, err := t.different()
	if err != nil {
		return nil, err
	}
	j := &train.Job{
		Name: name, Texts: t.Texts, Groups: make([]string, len(t.Texts)), Seed: seed, Progress: step,
		Heads: []train.Head{{Name: "intent", Labels: labels, Of: of}},
	}
	if steps != nil {
		steps(j.Steps())
	}
	b, held, err := train.Train(j)
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, 0, len(held[0].Reads))
	for _, r := range held[0].Reads {
		outcomes = append(outcomes, Outcome{
			Want: r.Want, Got: r.Label, Trust: held[0].Head.TrustOf(r.Score, r.Lead), Outside: r.Energy < held[0].Head.Outside,
		})
	}
	fmt.Fprint(report, twice)
	if len(outcomes) == 0 {
		fmt.Fprintln(report, "No message was held back: there are too few different ones to measure.")
		return b, nil
	}
	fmt.Fprintf(report, "Held back, 1 of 5 messages (out of scope and trust were set by them):\n")
	return b, Report(report, labels, outcomes)
}

// EvalModel reads a table's messages with a model and writes a report. Labels that the model does not know
// count as messages without one.
func EvalModel(m *model.Model, t *Table, report io.Writer) error {
	first, head, ok := m.Head("intent")
	if !ok {
		return fmt.Errorf("model %s has no intents", m.Name())
	}
	index := map[string]int{}
	for i, l := range head.Labels {
		index[l] = i
	}
	var unknown int
	scores := make([]float32, m.Lanes())
	outcomes := make([]Outcome, len(t.Texts))
	var folded []byte
	features := make([]uint32, 0, model.MaxFeatures)
	for i, text := range t.Texts {
		folded = fold.Append(folded[:0], text)
		features = model.Features(features[:0], folded, text)
		m.Score(scores, features)
		best := head.Best(scores[first : first+len(head.Labels)])
		want, ok := index[t.Labels[i]]
		if !ok {
			want = -1
			if !NoLabel(t.Labels[i]) {
				unknown++
			}
		}
		outcomes[i] = Outcome{Want: want, Got: best.Label, Trust: best.Trust, Outside: best.Outside}
	}
	tellUnknown(report, unknown)
	return Report(report, head.Labels, outcomes)
}

// tellUnknown tells how many messages are measured otherwise than their labels say.
func tellUnknown(report io.Writer, n int) {
	if n > 0 {
		fmt.Fprintf(report, "Messages with labels that the model does not know: %d; they count as having none.\n", n)
	}
}
