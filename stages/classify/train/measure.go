package train

import (
	"math"
	"slices"

	"github.com/handoff-dev/handoff/stages/classify/model"
)

// Read is what a model read in one message of a known label.
type Read struct {
	// Text is the message's index.
	Text int
	// Want is its label, or None.
	Want int
	// Scores of the head's labels, and the energy of them.
	Scores []float32
	Energy float32
	model.Best
}

// Held is what was read in the messages held back, by one head.
type Held struct {
	Head  model.Head
	Reads []Read
}

// measure reads the texts of the indices with every head and adds what it read to out.
func (j *Job) measure(out []Held, m *model.Model, features [][]uint32, of []int) {
	scores := make([]float32, m.Lanes())
	for _, i := range of {
		m.Score(scores, features[i])
		first := 0
		for h := range j.Heads {
			n := len(j.Heads[h].Labels)
			if want := j.Heads[h].Of[i]; want != Skip && !j.Heads[h].Compared {
				own := scores[first : first+n]
				out[h].Reads = append(out[h].Reads, Read{
					Text: i, Want: want, Scores: slices.Clone(own), Energy: model.Energy(own), Best: m.Heads()[h].Best(own),
				})
			}
			first += n
		}
	}
}

// kept is the share of messages with a label that Outside lets through.
const kept = 0.95

// calibrate learns from what was held back how far a head's scores can be trusted.
func calibrate(h *model.Head, reads []Read) {
	var energies []float32
	for _, r := range reads {
		if r.Want != None {
			energies = append(energies, r.Energy)
		}
	}
	if len(energies) > 0 {
		slices.Sort(energies)
		h.Outside = energies[int(float64(len(energies))*(1-kept))]
	}
	h.Trust = logistic(reads)
}

// logistic fits the share of right readings to score and lead, by Newton's method with a little
// regularisation, so that a handful of messages gives something sensible too.
func logistic(reads []Read) (w [3]float32) {
	var b [3]float64
	const ridge = 1e-2
	for range 30 {
		var gradient [3]float64
		var hessian [3][3]float64
		for _, r := range reads {
			x := [3]float64{1, float64(r.Score), float64(r.Lead)}
			p := 1 / (1 + math.Exp(-(b[0] + b[1]*x[1] + b[2]*x[2])))
			y := 0.0
			if r.Label == r.Want {
				y = 1
			}
			for i := range 3 {
				gradient[i] += (y - p) * x[i]
				for k := range 3 {
					hessian[i][k] += p * (1 - p) * x[i] * x[k]
				}
			}
		}
		for i := range 3 {
			gradient[i] -= ridge * b[i]
			hessian[i][i] += ridge
		}
		step := solve(hessian, gradient)
		for i := range 3 {
			b[i] = min(max(b[i]+step[i], -50), 50)
		}
	}
	for i := range 3 {
		w[i] = float32(b[i])
	}
	return w
}

// solve returns x with a x = y, by elimination; a is symmetric and positive.
func solve(a [3][3]float64, y [3]float64) (x [3]float64) {
	for i := range 3 {
		for k := i + 1; k < 3; k++ {
			f := a[k][i] / a[i][i]
			for c := i; c < 3; c++ {
				a[k][c] -= f * a[i][c]
			}
			y[k] -= f * y[i]
		}
	}
	for i := 2; i >= 0; i-- {
		x[i] = y[i]
		for c := i + 1; c < 3; c++ {
			x[i] -= a[i][c] * x[c]
		}
		x[i] /= a[i][i]
	}
	return x
}
