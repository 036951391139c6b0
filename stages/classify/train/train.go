package train

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"runtime"
	"slices"
	"sync"

	"github.com/handoff-dev/handoff/stages/classify/model"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

// Marks of an example that has no label of a head.
const (
	// None: the message belongs to none of the labels.
	None = -1
	// Skip: what the head would say of the message is not known.
	Skip = -2
)

// Head is one question to train: which of the labels a message has.
type Head struct {
	// Name of the head.
	Name string
	// Labels, at most model.MaxLanes over all heads.
	Labels []string
	// Of is an index into Labels, None or Skip for each text.
	Of []int
	// Dear multiplies the cost of a missed label's positive messages; nil for 1 everywhere.
	Dear []float32
	// Compared: only which of the labels scores highest counts, so that nothing is learned from messages held back.
	Compared bool
	// Decide, where there is one, learns from what was read in the messages held back what else the head needs
	// to decide.
	Decide func(h *model.Head, reads []Read)
}

// Job is what to train from.
type Job struct {
	// Name of the model with its version.
	Name string
	// Texts, as written.
	Texts []string
	// Groups of texts: those of one group are held back together. Empty strings are groups of their own.
	Groups []string
	// Parts of the texts, counted from 0, instead of Groups: each is held back in turn. Nil cuts the texts into
	// five by their groups, and only the first is held back.
	Parts []int
	// Weights multiply the cost of an error on a text; nil for 1 everywhere.
	Weights []float32
	Heads   []Head
	// Words gives the concepts of words, and the sequences of words, as features too; nil for none. Who scores must
	// add them likewise.
	Words *words.Table
	// Features the model may keep; 0 for all.
	Features int
	// Cost of an error; 0 for the default.
	Cost float32
	// Strange is the square that a feature which the model does not hold adds to a message's length; 0 for the default.
	Strange float32
	// Seed of the order in which messages are visited.
	Seed uint64
	// Trial is given the model that was made without each of the Parts, its scores trusted as far as the reads of
	// the other parts say; may be nil.
	Trial func(part int, trial []byte) error
	// Progress is told, from any goroutine, of every separator that is done; may be nil.
	Progress func(done int)
}

const (
	// defaultCost was the best of 0.3, 1, 2 and 3 on the validation parts of public sets of intents.
	defaultCost = 3
	// folds: one part of so many is held back to measure on.
	folds = 5
)

// Steps is how many separators a job trains, what Progress adds up to.
func (j *Job) Steps() int {
	all, tried := 0, 0
	for _, h := range j.Heads {
		all += len(h.Labels)
		if !h.Compared {
			tried += len(h.Labels)
		}
	}
	steps := all + tried*j.parts()
	if j.Features > 0 {
		steps *= 2
	}
	return steps
}

// parts is how many parts are held back in turn.
func (j *Job) parts() int {
	if j.Parts == nil {
		return 1
	}
	return slices.Max(j.Parts) + 1
}

// Train trains a model and returns its bytes, with what was read in the parts of the messages that were
// held back. First it trains without each part, to learn from it how far scores can be trusted, then with
// all.
func Train(j *Job) ([]byte, []Held, error) {
	if err := j.check(); err != nil {
		return nil, nil, err
	}
	features := extract(j.Texts, j.Words)
	all := slices.Repeat([]bool{true}, len(j.Texts))
	keep, compared := j.keep(features, all, nil)
	inside := make([]bool, len(j.Texts))
	held := make([]Held, len(j.Heads))
	trials := make([]model.Parts, j.parts())
	for part := range trials {
		var back []int
		for i := range j.Texts {
			if inside[i] = !j.held(i, part); !inside[i] {
				back = append(back, i)
			}
		}
		kept, _ := j.keep(features, inside, compared)
		trials[part] = j.fit(features, kept, inside, true).pack(j, j.headers())
		trial, err := decode(trials[part])
		if err != nil {
			return nil, nil, err
		}
		j.measure(held, trial, features, back)
	}
	if err := j.tryOut(trials, held); err != nil {
		return nil, nil, err
	}
	last := j.fit(features, keep, all, false).pack(j, j.headers())
	for h := range last.Heads {
		j.settle(h, &last.Heads[h], held[h].Reads)
		held[h].Head = last.Heads[h]
	}
	out, err := model.Encode(last)
	if err != nil {
		return nil, nil, err
	}
	return out, held, nil
}

// tryOut hands out the models that were made without each part, each with what the reads of the other parts taught.
func (j *Job) tryOut(trials []model.Parts, held []Held) error {
	if j.Trial == nil || j.Parts == nil {
		return nil
	}
	for part, trial := range trials {
		for h := range trial.Heads {
			var others []Read
			for _, r := range held[h].Reads {
				if j.Parts[r.Text] != part {
					others = append(others, r)
				}
			}
			j.settle(h, &trial.Heads[h], others)
		}
		b, err := model.Encode(trial)
		if err != nil {
			return err
		}
		if err := j.Trial(part, b); err != nil {
			return err
		}
	}
	return nil
}

// settle learns from reads of messages that were held back how far a head's scores can be trusted, and what they
// decide.
func (j *Job) settle(h int, head *model.Head, reads []Read) {
	calibrate(head, reads)
	if decide := j.Heads[h].Decide; decide != nil {
		decide(head, reads)
	}
}

func decode(parts model.Parts) (*model.Model, error) {
	b, err := model.Encode(parts)
	if err != nil {
		return nil, err
	}
	return model.Decode(b)
}

func (j *Job) check() error {
	lanes := 0
	for _, h := range j.Heads {
		lanes += len(h.Labels)
		if len(h.Of) != len(j.Texts) {
			return fmt.Errorf("head %q labels %d of %d texts", h.Name, len(h.Of), len(j.Texts))
		}
	}
	switch {
	case lanes == 0:
		return errors.New("there are no labels to train")
	case lanes > model.MaxLanes:
		return fmt.Errorf("%d labels are too many: at most %d", lanes, model.MaxLanes)
	case j.Parts == nil && len(j.Groups) != len(j.Texts):
		return fmt.Errorf("%d groups for %d texts", len(j.Groups), len(j.Texts))
	case j.Parts != nil && len(j.Parts) != len(j.Texts):
		return fmt.Errorf("%d parts for %d texts", len(j.Parts), len(j.Texts))
	}
	return nil
}

// held tells whether a text is of a part that is held back.
func (j *Job) held(i, part int) bool {
	if j.Parts != nil {
		return j.Parts[i] == part
	}
	h := fnv.New32a()
	name := j.Groups[i]
	if name == "" {
		name = j.Texts[i]
	}
	h.Write([]byte(name))
	sum := h.Sum32()
	return (sum^sum>>15)%folds == uint32(part)
}

// headers begins the model's heads.
func (j *Job) headers() []model.Head {
	out := make([]model.Head, len(j.Heads))
	for i, h := range j.Heads {
		out[i] = model.Head{Name: h.Name, Labels: h.Labels, Scale: make([]float32, len(h.Labels)), Bias: make([]float32, len(h.Labels))}
	}
	return out
}

// fitted is a vocabulary with a separator per lane.
type fitted struct {
	words *vocabulary
	lanes []*separator
}

// fit trains every lane on the texts inside, over the features to keep (nil for all); as a trial only those of heads
// from which something is learned so.
func (j *Job) fit(features [][]uint32, keep map[uint32]bool, inside []bool, trial bool) *fitted {
	var rows [][]uint32
	var of []int
	for i := range features {
		if inside[i] {
			rows = append(rows, features[i])
			of = append(of, i)
		}
	}
	unknown := j.Strange
	if unknown == 0 {
		unknown = strange
	}
	v := count(rows, keep, unknown)
	m := v.vectors(rows)
	type lane struct{ head, label int }
	var lanes []lane
	for h := range j.Heads {
		for k := range j.Heads[h].Labels {
			lanes = append(lanes, lane{h, k})
		}
	}
	out := &fitted{words: v, lanes: make([]*separator, len(lanes))}
	next := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for l := range next {
				if trial && j.Heads[lanes[l].head].Compared {
					out.lanes[l] = &separator{weights: make([]float32, len(v.hash))}
					continue
				}
				signs, costs := j.lane(of, lanes[l].head, lanes[l].label)
				out.lanes[l] = separate(m, len(v.hash), signs, costs, j.Seed+uint64(l)*0x9e3779b97f4a7c15)
				if j.Progress != nil {
					j.Progress(1)
				}
			}
		})
	}
	for l := range lanes {
		next <- l
	}
	close(next)
	workers.Wait()
	return out
}

// lane says what each of the texts is to one label, and what an error on it costs.
func (j *Job) lane(of []int, head, label int) ([]sign, []float32) {
	h := &j.Heads[head]
	signs, costs := make([]sign, len(of)), make([]float32, len(of))
	base := j.Cost
	if base == 0 {
		base = defaultCost
	}
	for r, i := range of {
		costs[r] = base
		if j.Weights != nil {
			costs[r] *= j.Weights[i]
		}
		switch h.Of[i] {
		case Skip:
		case label:
			signs[r] = positive
			if h.Dear != nil {
				costs[r] *= h.Dear[label]
			}
		default:
			signs[r] = negative
		}
	}
	return signs, costs
}

// keep chooses the features that weigh most in a model of all of them that learned from the texts inside; nil where
// all may stay. Nothing that is held back chooses: features that tell apart just the messages that are measured would
// make what is measured better than what is to come. compared is what the features weigh for the heads that a trial
// does not train, as keep returned it for all texts; nil for all texts.
func (j *Job) keep(features [][]uint32, inside []bool, compared map[uint32]float64) (map[uint32]bool, map[uint32]float64) {
	if j.Features == 0 {
		return nil, nil
	}
	f := j.fit(features, nil, inside, compared != nil)
	if compared == nil {
		compared = f.weigh(j.lanesOf(true), nil)
	}
	if len(f.words.hash) <= j.Features {
		return nil, compared
	}
	return f.heaviest(j.Features, f.weigh(j.lanesOf(false), compared)), compared
}

// lanesOf returns the indices of the separators of the heads that are compared, or of the others.
func (j *Job) lanesOf(compared bool) []int {
	var out []int
	lane := 0
	for h := range j.Heads {
		for range j.Heads[h].Labels {
			if j.Heads[h].Compared == compared {
				out = append(out, lane)
			}
			lane++
		}
	}
	return out
}

// spread is how wide the weights of a lane are: the root of their mean square, so that lanes count alike
// where features are chosen and cut.
func (s *separator) spread(idf []float32) float64 {
	var sum float64
	n := 0
	for f, w := range s.weights {
		if w != 0 {
			x := float64(w) * float64(idf[f])
			sum += x * x
			n++
		}
	}
	return math.Sqrt(sum / math.Max(float64(n), 1))
}
