package state_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

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

// readOnly is a file system that was mounted so.
type readOnly struct{ vfs.FS }

func (readOnly) Lock(name string) (io.Closer, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EROFS}
}

// TestDirectoryNotWritable is not taken for one that another process has.
func TestDirectoryNotWritable(t *testing.T) {
	t.Parallel()
	_, err := state.OpenStore(state.StoreConfig{Dir: "state", FS: readOnly{vfs.NewMem()}})
	if err == nil || !strings.Contains(err.Error(), "it cannot be written") || strings.Contains(err.Error(), "another process") {
		t.Errorf("open: %v", err)
	}
}

// TestDirectoryOfAKilledReset: what a reset left that was killed does not keep a stage from using the directory.
func TestDirectoryOfAKilledReset(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "reset-consent-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := state.OpenStore(state.StoreConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
