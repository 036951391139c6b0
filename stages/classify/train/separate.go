package train

import "math"

// Separators are trained by dual coordinate descent on the squared hinge loss (Hsieh, Chang, Lin,
// Keerthi, Sundararajan 2008, "A dual coordinate descent method for large-scale linear SVM").
const (
	// epochs bounds the passes over the messages.
	epochs = 40
	// tolerance ends training when no message pulls harder than this.
	tolerance = 0.1
)

// sign of a message for one separator: it has the label, has not, or does not count.
type sign int8

const (
	ignored  sign = 0
	positive sign = 1
	negative sign = -1
)

// separator is a weight per feature and a bias.
type separator struct {
	weights []float32
	bias    float32
}

// score of a row: above zero where the separator thinks it has the label.
func (s *separator) score(ids []uint32, values []float32) float32 {
	sum := s.bias
	for j, id := range ids {
		sum += s.weights[id] * values[j]
	}
	return sum
}

// separate trains one separator. cost says how dear an error is on a positive and on a negative message.
func separate(m *matrix, features int, signs []sign, costs []float32, seed uint64) *separator {
	s := &separator{weights: make([]float32, features)}
	var active []int32
	for i, y := range signs {
		if y != ignored {
			active = append(active, int32(i))
		}
	}
	alpha := make([]float32, m.rows())
	random := seed | 1
	highest := float32(math.Inf(1)) // the largest pull of the last pass; what pulls the other way is left out
	n := len(active)
	for pass := range epochs {
		var strongest, weakest float32
		for i := n - 1; i > 0; i-- {
			random ^= random << 13
			random ^= random >> 7
			random ^= random << 17
			j := int(random % uint64(i+1))
			active[i], active[j] = active[j], active[i]
		}
		for k := 0; k < n; k++ {
			i := active[k]
			ids, values := m.row(int(i))
			y := float32(signs[i])
			diagonal := 0.5 / costs[i]
			gradient := y*s.score(ids, values) - 1 + diagonal*alpha[i]
			if alpha[i] == 0 {
				if gradient > highest {
					n--
					active[k], active[n] = active[n], active[k]
					k--
					continue
				}
				gradient = min(gradient, 0)
			}
			strongest, weakest = max(strongest, gradient), min(weakest, gradient)
			if gradient > -1e-8 && gradient < 1e-8 {
				continue
			}
			old := alpha[i]
			alpha[i] = max(old-gradient/(2+diagonal), 0) // the row is of unit length, the bias another one
			step := (alpha[i] - old) * y
			for j, id := range ids {
				s.weights[id] += step * values[j]
			}
			s.bias += step
		}
		if strongest-weakest <= tolerance {
			if n == len(active) || pass == epochs-1 {
				break
			}
			n, highest = len(active), float32(math.Inf(1))
			continue
		}
		highest = strongest
		if highest <= 0 {
			highest = float32(math.Inf(1))
		}
	}
	return s
}
