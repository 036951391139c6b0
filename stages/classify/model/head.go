package model

import (
	"math"
	"math/bits"
)

// temperature of the energy: how much more the best label counts than the rest.
const temperature = 0.3

// Best is what a head makes of a message's scores.
type Best struct {
	// Label is an index into the head's labels.
	Label int
	// Score of it, and how far it leads the next.
	Score, Lead float32
	// Trust: the share of such readings that are right.
	Trust float32
	// Outside: none of the labels fits.
	Outside bool
}

// Best returns the label with the highest score; of equal ones the first. scores are the head's own.
func (h *Head) Best(scores []float32) Best {
	var b Best
	b.Label, b.Score, b.Lead = Top(scores)
	b.Trust = h.TrustOf(b.Score, b.Lead)
	b.Outside = h.outside(scores, b.Score)
	return b
}

// Top returns the highest score's place and how far it leads the next; of equal ones the first.
func Top(scores []float32) (label int, score, lead float32) {
	score = scores[0]
	next := float32(math.Inf(-1))
	for i, s := range scores[1:] {
		switch {
		case s > score:
			label, score, next = i+1, s, score
		case s > next:
			next = s
		}
	}
	if len(scores) == 1 {
		return label, score, 0
	}
	return label, score, score - next
}

// outside tells whether no label fits. The energy is between the best score and what as many of it make,
// which mostly decides.
func (h *Head) outside(scores []float32, best float32) bool {
	if best >= h.Outside {
		return false
	}
	if best+temperature*float32(bits.Len(uint(len(scores)))) < h.Outside { // log2 is more than ln
		return true
	}
	return Energy(scores) < h.Outside
}

// mostTrust is what no reading is trusted more than: what was held back to measure on tells no finer, and
// people write what no one has written before.
const mostTrust = 0.99

// TrustOf is the share of readings with that best score and lead that are right.
func (h *Head) TrustOf(best, lead float32) float32 {
	return min(mostTrust, float32(1/(1+math.Exp(-float64(h.Trust[0]+h.Trust[1]*best+h.Trust[2]*lead)))))
}

// Energy sums up how much any label fits: the higher, the more the message belongs to one of them (Liu,
// Wang, Owens, Li 2020, "Energy-based out-of-distribution detection").
func Energy(scores []float32) float32 {
	top := scores[0]
	for _, s := range scores {
		top = max(top, s)
	}
	var sum float64
	for _, s := range scores {
		if d := s - top; d > -10*temperature { // the rest adds nothing that counts
			sum += math.Exp(float64(d) / temperature)
		}
	}
	return top + temperature*float32(math.Log(sum))
}
