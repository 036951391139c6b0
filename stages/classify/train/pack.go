package train

import (
	"math"
	"slices"

	"github.com/handoff-dev/handoff/stages/classify/model"
)

// heaviest returns the n features that weigh most for any label, each label's weights measured by their
// own spread.
func (f *fitted) heaviest(n int) map[uint32]bool {
	weight := make([]float64, len(f.words.hash))
	for _, s := range f.lanes {
		spread := math.Max(s.spread(f.words.idf), 1e-9)
		for i, w := range s.weights {
			if x := math.Abs(float64(w)*float64(f.words.idf[i])) / spread; x > weight[i] {
				weight[i] = x
			}
		}
	}
	order := make([]int, len(weight))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case weight[a] > weight[b]:
			return -1
		case weight[a] < weight[b]:
			return 1
		}
		return a - b
	})
	keep := make(map[uint32]bool, n)
	for _, i := range order[:n] {
		keep[f.words.hash[i]] = true
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
