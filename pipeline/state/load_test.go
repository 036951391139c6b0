package state

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// loadKeys are distinct keys of all kinds, many of which begin alike, some far into them.
func loadKeys(random *rand.Rand, n int) [][]byte {
	all := map[string]bool{}
	for len(all) < n {
		owner := fmt.Appendf(nil, "shop-%d|+1415%07d", random.IntN(3), random.IntN(n))
		name := "name of an entry/"[:random.IntN(18)] + fmt.Sprint(random.IntN(9))
		var key []byte
		switch random.IntN(8) {
		case 0:
			key = appendLocal(nil, kindTimer, owner, name)
		case 1:
			key = fmt.Appendf([]byte{kindSeen}, "%016d", random.IntN(n))
		case 2:
			key = []byte{kindDue, byte(random.IntN(256)), byte(random.IntN(256))}
		case 3:
			key = []byte{kindPos}
		default:
			key = appendLocal(nil, kindEntry, owner, name)
		}
		all[string(key)] = true
	}
	var keys [][]byte
	for _, key := range slices.Sorted(maps.Keys(all)) {
		keys = append(keys, []byte(key))
	}
	random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

func contents(t *testing.T, back Backing) map[string]string {
	t.Helper()
	all := map[string]string{}
	var last []byte
	if err := back.Scan(nil, nil, func(key, value []byte) bool {
		if bytes.Compare(last, key) >= 0 {
			t.Fatalf("%q comes after %q", key, last)
		}
		last = append(last[:0], key...)
		all[string(key)] = string(value)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLoadIsABatch: what is loaded as files is there as if it had been written by a batch, over what was
// there before, whatever the keys are and however many files it takes.
func TestLoadIsABatch(t *testing.T) {
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 1))
		store, err := OpenStore(StoreConfig{Dir: "state", FS: vfs.NewMem()})
		if err != nil {
			t.Fatal(err)
		}
		loaded, batched := store.Backing("stage", 1), store.Backing("stage", 2)
		size := 40
		if seed < 2 {
			size = 20 << 10 // some files
		}
		for range 3 {
			keys := loadKeys(random, 1+random.IntN(2000))
			load, batch := loaded.Load(len(keys), len(keys)*size), batched.Batch()
			for _, key := range keys {
				value, deleted := bytes.Repeat([]byte{byte(random.IntN(256))}, random.IntN(size)), random.IntN(4) == 0
				for _, to := range []Batch{load, batch} {
					if deleted {
						to.Delete(key)
					} else {
						to.Set(key, value)
					}
				}
			}
			for _, to := range []Batch{load, batch} {
				if err := to.Apply(); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
			if got, want := contents(t, loaded), contents(t, batched); !maps.Equal(got, want) {
				t.Fatalf("seed %d: %d entries are there, want %d", seed, len(got), len(want))
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLoadsAreTakenBack: what a killed process had written and not handed over is removed at the next start.
func TestLoadsAreTakenBack(t *testing.T) {
	fs := vfs.NewMem()
	for range 2 {
		store, err := OpenStore(StoreConfig{Dir: "state", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		left, err := fs.List("state")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range left {
			if bytes.HasPrefix([]byte(name), []byte(loadPrefix)) {
				t.Errorf("%s is left", name)
			}
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create(fs.PathJoin("state", loadPrefix+"7"), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKept: of each key its newest record is kept, whatever the lengths of its values were.
func TestKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var k kept
		for range rapid.IntRange(1, 2).Draw(t, "lives") {
			want := map[string]string{}
			var together []replayed
			for range rapid.IntRange(0, 300).Draw(t, "records") {
				key := fmt.Sprint(rapid.IntRange(0, 60).Draw(t, "key"))
				value := rapid.StringN(0, 12, -1).Draw(t, "value")
				ok := rapid.IntRange(0, 3).Draw(t, "deleted") > 0
				together = append(together, replayed{[]byte(key), []byte(value), ok})
				if rapid.IntRange(0, 20).Draw(t, "put") == 0 {
					k.put(together)
					together = nil
				}
				if want[key] = "set to " + value; !ok {
					want[key] = "deleted"
				}
			}
			k.put(together)
			got := map[string]string{}
			for r := range k.all {
				if _, twice := got[string(r.key)]; twice {
					t.Fatalf("%q is there twice", r.key)
				}
				if got[string(r.key)] = "set to " + string(r.value); !r.ok {
					got[string(r.key)] = "deleted"
				}
			}
			if !maps.Equal(got, want) {
				t.Fatalf("kept %v, want %v", got, want)
			}
			k.clear()
		}
	})
}
