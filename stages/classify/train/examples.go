// Package train makes models: it counts the features of labelled messages, trains one linear separator
// per label, measures on messages held back how far scores can be trusted, and packs the result for
// package model. The same examples and options give the same bytes.
package train

import (
	"math"

	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/model"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

// strange is the square that a feature adds to a message's length when no message of the training had it, where the job
// does not say another: strange words make scores small. Of 0, 10 and 40 the latter two found more of what is out of
// scope; opt-outs are found best where it is small.
const strange = 20

// meaning is how much more the concepts of words count than their letters: of 1, 1.4, 2, 3 and 4 opt-outs of authors left
// out were told best from natural messages at 1.4 and less.
const meaning = 1.4

// vocabulary is the features of a set of messages.
type vocabulary struct {
	// hash of each feature, in the order of first appearance; idf beside it.
	hash []uint32
	idf  []float32
	of   map[uint32]uint32
	// unknown is the square that a feature without a place adds to a message's length.
	unknown float32
}

// matrix is messages as rows of features, unit length.
type matrix struct {
	// begin of each row in ids and values, one more than there are rows.
	begin  []int32
	ids    []uint32
	values []float32
}

func (m *matrix) rows() int { return len(m.begin) - 1 }

func (m *matrix) row(i int) (ids []uint32, values []float32) {
	return m.ids[m.begin[i]:m.begin[i+1]], m.values[m.begin[i]:m.begin[i+1]]
}

// extract reads the features of every text; where there is a table, the sequences and the concepts of its words too.
func extract(texts []string, table *words.Table) [][]uint32 {
	out := make([][]uint32, len(texts))
	buf := make([]uint32, 0, model.MaxFeatures+model.MaxSequences+words.Most)
	var folded []byte
	for i, text := range texts {
		folded = fold.Append(folded[:0], text)
		buf = model.Features(buf[:0], folded, text)
		if table != nil {
			buf = model.Sequences(buf, folded)
			var m words.Meanings
			table.Read(&m, folded[:min(len(folded), model.Longest)])
			buf = table.Features(buf, &m)
		}
		out[i] = append([]uint32(nil), buf...)
	}
	return out
}

// count makes the vocabulary of messages, of the features to keep; nil keeps all. unknown is the square that other features
// add to a message's length.
func count(features [][]uint32, keep map[uint32]bool, unknown float32) *vocabulary {
	in := map[uint32]int32{}
	var order []uint32
	for _, row := range features {
		for _, f := range row {
			if keep != nil && !keep[f] {
				continue
			}
			if in[f] == 0 {
				order = append(order, f)
			}
			in[f]++
		}
	}
	v := &vocabulary{of: make(map[uint32]uint32, len(order)), unknown: unknown}
	n := float64(len(features))
	for _, f := range order {
		v.of[f] = uint32(len(v.hash))
		v.hash = append(v.hash, f)
		idf := float32(math.Log((1+n)/(1+float64(in[f]))) + 1)
		if f&words.Mark != 0 {
			idf *= meaning
		}
		v.idf = append(v.idf, idf)
	}
	return v
}

// vectors weighs the features of messages and brings each message to unit length, to which features
// that the vocabulary does not hold add.
func (v *vocabulary) vectors(features [][]uint32) *matrix {
	m := &matrix{begin: make([]int32, 1, len(features)+1)}
	for _, row := range features {
		from := len(m.ids)
		var square float64
		for _, f := range row {
			id, ok := v.of[f]
			if !ok {
				square += float64(v.unknown)
				continue
			}
			m.ids = append(m.ids, id)
			m.values = append(m.values, v.idf[id])
			square += float64(v.idf[id]) * float64(v.idf[id])
		}
		norm := float32(1 / math.Sqrt(math.Max(square, 1)))
		for i := from; i < len(m.values); i++ {
			m.values[i] *= norm
		}
		m.begin = append(m.begin, int32(len(m.ids)))
	}
	return m
}
