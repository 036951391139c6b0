package train

import (
	"cmp"
	"math"
	"slices"

	"github.com/handoff-dev/handoff/stages/classify/model"
)

// weigh returns what the features weigh for any of the lanes, each lane's weights measured by their own spread, or as
// much as they do already.
func (f *fitted) weigh(lanes []int, already map[uint32]float64) map[uint32]float64 {
	out := make(map[uint32]float64, len(f.words.hash))
	for _, hash := range f.words.hash {
		out[hash] = already[hash]
	}
	for _, lane := range lanes {
		s := f.lanes[lane]
		spread := math.Max(s.spread(f.words.idf), 1e-9)
		for i, w := range s.weights {
			if x := math.Abs(float64(w)*float64(f.words.idf[i])) / spread; x > out[f.words.hash[i]] {
				out[f.words.hash[i]] = x
			}
		}
	}
	return out
}

// heaviest returns the n features that weigh most; of those that weigh the same, the ones seen first.
func (f *fitted) heaviest(n int, weight map[uint32]float64) map[uint32]bool {
	order := slices.Clone(f.words.hash)
	slices.SortStableFunc(order, func(a, b uint32) int { return cmp.Compare(weight[b], weight[a]) })
	keep := make(map[uint32]bool, n)
	for _, hash := range order[:n] {
		keep[hash] = true
	}
	return keep
}

// clip is where a lane's weights are cut, in spreads: the few beyond would make the steps of all others
// coarse.
const clip = 10

// pack folds the features' weights into the labels' and rounds both to bytes. It fills in scale and bias
// of the heads.
func (f *fitted) pack(j *Job, heads []model.Head) model.Parts {
	idf := f.words.idf
	var widest float32
	for _, x := range idf {
		widest = max(widest, x*x)
	}
	p := model.Parts{Name: j.Name, SquareScale: widest / 255, Unknown: f.words.unknown, Heads: heads}
	rows := make([]model.Row, len(f.words.hash))
	lanes := make([]byte, len(rows)*(len(f.lanes)+1))
	for i := range rows {
		rows[i] = model.Row{Hash: f.words.hash[i], Lanes: lanes[i*(len(f.lanes)+1) : (i+1)*(len(f.lanes)+1)]}
		rows[i].Lanes[0] = byte(math.Round(float64(idf[i]*idf[i]) / float64(p.SquareScale)))
	}
	lane := 0
	for h := range heads {
		for k := range heads[h].Labels {
			s := f.lanes[lane]
			lane++
			var largest float64
			for i, w := range s.weights {
				largest = math.Max(largest, math.Abs(float64(w)*float64(idf[i])))
			}
			step := math.Max(math.Min(largest, clip*s.spread(idf)), 1e-6) / 127
			for i, w := range s.weights {
				x := math.Round(float64(w) * float64(idf[i]) / step)
				rows[i].Lanes[lane] = byte(int(min(max(x, -127), 127)) + 128)
			}
			heads[h].Scale[k], heads[h].Bias[k] = float32(step), s.bias
		}
	}
	p.Rows = rows
	return p
}
