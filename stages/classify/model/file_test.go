package model

import (
	"errors"
	"testing"
)

// small is a model of two labels and three features.
func small(t testing.TB) []byte {
	t.Helper()
	b, err := Encode(Parts{
		Name: "small/1", SquareScale: 0.5, Unknown: 20,
		Heads: []Head{{Name: "intent", Labels: []string{"a", "b"}, Scale: []float32{0.01, 0.01}, Bias: []float32{0, 0}}},
		Rows:  []Row{{Hash: 9, Lanes: []byte{4, 228, 28}}, {Hash: 3, Lanes: []byte{4, 28, 228}}, {Hash: 7, Lanes: []byte{4, 128, 128}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestScores(t *testing.T) {
	m, err := Decode(small(t))
	if err != nil {
		t.Fatal(err)
	}
	var scores [2]float32
	m.Score(scores[:], []uint32{9})
	if scores[0] <= 0 || scores[1] >= 0 {
		t.Errorf("the feature of a scores %v", scores)
	}
	m.Score(scores[:], []uint32{12345})
	if scores != [2]float32{} {
		t.Errorf("a strange feature scores %v", scores)
	}
}

// TestSequences: what stands in a row and what follows at a distance are features, in their order.
func TestSequences(t *testing.T) {
	of := func(text string) []uint32 { return Sequences(nil, []byte(text)) }
	for text, want := range map[string]int{"": 0, "stop": 0, "please stop": 0, "stop texting me": 2, "stop\ntexting me now": 5} {
		if got := of(text); len(got) != want {
			t.Errorf("%q has %d sequences, want %d", text, len(got), want)
		}
	}
	if a, b := of("stop texting me"), of("me texting stop"); a[0] == b[0] || a[1] == b[1] {
		t.Error("the order of words does not show")
	}
	if a, b := of("stop texting me"), of("stop calling me"); a[0] == b[0] || a[1] != b[1] {
		t.Error("what stands between two words counts where it should not, or does not where it should")
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := small(t)
	for name, b := range map[string][]byte{
		"nothing": nil, "text": []byte("a model"), "a cut": good[:len(good)-5],
		"a changed byte": append(append([]byte{}, good[:len(good)-6]...), append([]byte{good[len(good)-6] ^ 1}, good[len(good)-5:]...)...),
	} {
		if _, err := Decode(b); !errors.Is(err, ErrModel) {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(small(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		m.Score(make([]float32, m.Lanes()), []uint32{1, 3, 7, 9})
	})
}
