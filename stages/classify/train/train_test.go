package train

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/model"
)

// job has two labels that a word tells apart, and messages of none.
func job() *Job {
	j := &Job{Name: "test/1", Seed: 1}
	h := Head{Name: "intent", Labels: []string{"apple", "pear"}}
	for i := range 60 {
		word, of := "apple", 0
		switch i % 3 {
		case 1:
			word, of = "pear", 1
		case 2:
			word, of = "stone", None
		}
		j.Texts = append(j.Texts, fmt.Sprintf("i would like a %s of the kind %c%c", word, 'a'+i%7, 'a'+i%11))
		h.Of = append(h.Of, of)
	}
	j.Groups = make([]string, len(j.Texts))
	j.Heads = []Head{h}
	return j
}

func TestTrain(t *testing.T) {
	b, held, err := Train(job())
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := Train(job())
	if err != nil || !bytes.Equal(b, again) {
		t.Fatalf("training again gives other bytes (%v)", err)
	}
	if len(held) != 1 || len(held[0].Reads) == 0 {
		t.Fatalf("nothing was held back: %+v", held)
	}
	m, err := model.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{"a pear please": 1, "an apple please": 0, "give me the apple": 0} {
		scores := make([]float32, m.Lanes())
		m.Score(scores, model.Features(nil, []byte(fold.String(text)), text))
		if best := m.Heads()[0].Best(scores); best.Label != want {
			t.Errorf("%q is label %d (%v), want %d", text, best.Label, scores, want)
		}
	}
}

func TestTrainKeepsTheHeaviest(t *testing.T) {
	j := job()
	j.Features = 40
	b, _, err := Train(j)
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Decode(b)
	if err != nil || m.Rows() > 40 {
		t.Fatalf("%d features are kept (%v), want at most 40", m.Rows(), err)
	}
}

// TestTrainHoldsBackParts: each part is read by a model that was made without it, and what is decided in that part
// comes of the others.
func TestTrainHoldsBackParts(t *testing.T) {
	j := job()
	j.Groups = nil
	for i := range j.Texts {
		j.Parts = append(j.Parts, i%4/2) // two parts
	}
	decided := 0
	j.Heads[0].Decide = func(h *model.Head, reads []Read) {
		decided++
		h.Clear = float32(len(reads))
	}
	tried := map[int]float32{}
	j.Trial = func(part int, trial []byte) error {
		m, err := model.Decode(trial)
		if err != nil {
			return err
		}
		tried[part] = m.Heads()[0].Clear
		return nil
	}
	_, held, err := Train(j)
	if err != nil {
		t.Fatal(err)
	}
	if len(held[0].Reads) != len(j.Texts) || held[0].Head.Clear != float32(len(j.Texts)) {
		t.Errorf("%d of %d texts were read, %v decided the last model", len(held[0].Reads), len(j.Texts), held[0].Head.Clear)
	}
	if decided != 3 || tried[0] != 30 || tried[1] != 30 {
		t.Errorf("%d decisions, models tried out: %v", decided, tried)
	}
}

func TestTrainRefuses(t *testing.T) {
	for name, change := range map[string]func(*Job){
		"no labels":      func(j *Job) { j.Heads = nil },
		"labels missing": func(j *Job) { j.Heads[0].Of = j.Heads[0].Of[1:] },
		"groups missing": func(j *Job) { j.Groups = nil },
		"parts missing":  func(j *Job) { j.Parts = []int{0, 1} },
	} {
		j := job()
		change(j)
		if _, _, err := Train(j); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTrainChoosesFeaturesWithoutWhatIsHeldBack: words that have nothing to do with labels tell nothing apart in
// messages held back, also where the few words are kept that seem to tell most apart.
func TestTrainChoosesFeaturesWithoutWhatIsHeldBack(t *testing.T) {
	const texts, words, said, parts = 600, 2000, 8, 4
	random := rand.New(rand.NewPCG(1, 2))
	j := &Job{Name: "noise/1", Seed: 1, Features: 600}
	h := Head{Name: "coin", Labels: []string{"heads"}}
	for i := range texts {
		var b strings.Builder
		for range said {
			fmt.Fprintf(&b, "%s ", strconv.FormatUint(uint64(random.IntN(words))*7919+1e6, 36))
		}
		j.Texts = append(j.Texts, b.String())
		j.Parts = append(j.Parts, i%parts)
		h.Of = append(h.Of, -random.IntN(2)) // heads, or None
	}
	j.Heads = []Head{h}
	_, held, err := Train(j)
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for _, r := range held[0].Reads {
		if (r.Score > 0) == (r.Want == 0) {
			right++
		}
	}
	if share := float64(right) / float64(len(held[0].Reads)); share > 0.58 {
		t.Errorf("of coins %.2f are told", share)
	}
}
