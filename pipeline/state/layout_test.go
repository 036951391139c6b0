package state_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/pipeline/state"
)

// TestLayoutOfTheDirectory: state is kept as long as its layout is today's, removed when it is another,
// and a directory of somebody else's is left alone.
func TestLayoutOfTheDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	open := func() (*state.Store, error) { return state.OpenStore(state.StoreConfig{Dir: dir}) }
	write := func() {
		t.Helper()
		store, err := open()
		if err != nil {
			t.Fatal(err)
		}
		b := store.Backing("s", 0).Batch()
		b.Set([]byte("x"), []byte("kept"))
		if err := b.Apply(); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	kept := func() bool {
		t.Helper()
		store, err := open()
		if err != nil {
			t.Fatal(err)
		}
		_, ok, err := store.Backing("s", 0).Get([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		return ok
	}
	write()
	if !kept() {
		t.Fatal("state of today's layout was removed")
	}
	if err := os.WriteFile(filepath.Join(dir, "handoff-layout"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if kept() {
		t.Fatal("state of another layout was used")
	}
	if kept() {
		t.Fatal("it came back")
	}

	dir = t.TempDir()
	theirs := filepath.Join(dir, "letters.txt")
	if err := os.WriteFile(theirs, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Fatalf("a directory with other files: %v", err)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Fatal(err)
	}
}
