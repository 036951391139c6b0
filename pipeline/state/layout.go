package state

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// layout is how state lies in the database: a file says which it is. State of another layout is
// removed, and rebuilt from the changelogs.
const (
	layout     = "2\n"
	layoutNone = "none\n" // while it is being removed
	layoutFile = "handoff-layout"
	lockFile   = "LOCK" // Pebble's
)

// lockDir makes the directory this process's and one of today's layout. A directory with other things
// in it is refused.
func lockDir(cfg StoreConfig) (*pebble.Lock, error) {
	fs := cfg.FS
	if fs == nil {
		fs = vfs.Default
	}
	if err := fs.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, err
	}
	files, err := fs.List(cfg.Dir)
	if err != nil {
		return nil, err
	}
	files = slices.DeleteFunc(files, func(name string) bool { return strings.HasPrefix(name, "reset-") }) // of a reset that was killed
	if len(files) > 0 && !slices.ContainsFunc(files, ofStore) {
		return nil, errors.New("the directory is not empty and holds no state: give an empty one, or one of its own")
	}
	lock, err := pebble.LockDirectory(cfg.Dir, fs)
	switch {
	case errors.Is(err, iofs.ErrPermission), errors.Is(err, syscall.EROFS):
		return nil, fmt.Errorf("it cannot be written: %w", err)
	case err != nil:
		return nil, fmt.Errorf("another process has it: %w", err)
	}
	if err := bringToLayout(fs, cfg); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// ofStore tells whether only a store has a file of that name.
func ofStore(name string) bool {
	return name == layoutFile || name == lockFile || strings.HasPrefix(name, "MANIFEST-") || strings.HasPrefix(name, "marker.")
}

// bringToLayout removes state of another layout.
func bringToLayout(fs vfs.FS, cfg StoreConfig) error {
	files, err := fs.List(cfg.Dir)
	if err != nil {
		return err
	}
	path := fs.PathJoin(cfg.Dir, layoutFile)
	if slices.Contains(files, layoutFile) {
		is, err := readFile(fs, path)
		if err != nil || is == layout {
			return err
		}
	}
	files = slices.DeleteFunc(files, func(name string) bool { return name == lockFile || name == layoutFile })
	if len(files) > 0 {
		if cfg.Logger != nil {
			cfg.Logger.Info("local state is of another version's layout: it is removed and rebuilt from Kafka", "dir", cfg.Dir)
		}
		if err := writeFile(fs, path, layoutNone); err != nil {
			return err
		}
	}
	for _, name := range files {
		if err := fs.RemoveAll(fs.PathJoin(cfg.Dir, name)); err != nil {
			return err
		}
	}
	if err := writeFile(fs, path, layout); err != nil {
		return err
	}
	dir, err := fs.OpenDir(cfg.Dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func readFile(fs vfs.FS, path string) (string, error) {
	f, err := fs.Open(path)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(f)
	return string(b), errors.Join(err, f.Close())
}

func writeFile(fs vfs.FS, path, contents string) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, contents)
	return errors.Join(err, f.Sync(), f.Close())
}
