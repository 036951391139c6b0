package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// ErrNoEngine is wrapped by every error that means that neither a `clickhouse`
// binary nor the library can be had; its text says what to do about it.
var ErrNoEngine = errors.New("no ClickHouse engine available")

// receipt is written beside the library once it was verified and unpacked. A
// library without one, or of another size, is fetched again.
type receipt struct {
	Package   string `json:"package"`
	Version   string `json:"version"`
	Integrity string `json:"integrity"`
	// Size is the library's length in bytes.
	Size int64 `json:"size"`
}

// Install makes sure that the engine's library is in the user's cache
// (os.UserCacheDir, handoff/chdb-<Version>) and returns its path. It fetches
// the package through the npm client, so the user's registry settings hold,
// verifies the tarball's SHA-512 before anything is unpacked, and renames the
// library into place, so a path that exists is a complete library. Several
// processes may install at once: one works, the others wait for it.
//
// Progress gets one line per step and may be nil. When the library is there
// already nothing is written and nothing is fetched. Errors wrap [ErrNoEngine]
// where the user has to do something.
func Install(ctx context.Context, progress io.Writer) (path string, err error) {
	rel, ok := currentRelease()
	if !ok {
		return "", fmt.Errorf("%w: the library is not published for %s/%s; put a `clickhouse` binary (24.8 or newer) on the PATH",
			ErrNoEngine, runtime.GOOS, runtime.GOARCH)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache directory for the ClickHouse engine: %w", err)
	}
	if progress == nil {
		progress = io.Discard
	}
	in := installer{dir: filepath.Join(cache, "handoff", "chdb-"+Version), release: rel, progress: progress, fetch: npmFetch}
	return in.install(ctx)
}

// installer holds what Install needs; tests replace fetch.
type installer struct {
	dir      string
	release  release
	progress io.Writer
	// fetch puts the package's tarball into dir and returns its path and the
	// integrity value that the registry publishes for it.
	fetch func(ctx context.Context, rel release, dir string) (tarball, integrity string, err error)
}

func (in installer) library() string { return filepath.Join(in.dir, in.release.library) }
func (in installer) receipt() string { return filepath.Join(in.dir, "receipt.json") }

// installed says whether a complete library with its receipt is in place.
func (in installer) installed() bool {
	raw, err := os.ReadFile(in.receipt())
	if err != nil {
		return false
	}
	var r receipt
	if json.Unmarshal(raw, &r) != nil || r.Version != Version || r.Package != in.release.pkg {
		return false
	}
	st, err := os.Stat(in.library())
	return err == nil && st.Size() == r.Size
}

func (in installer) install(ctx context.Context) (string, error) {
	if in.installed() {
		return in.library(), nil
	}
	if err := os.MkdirAll(in.dir, 0o755); err != nil {
		return "", fmt.Errorf("create the ClickHouse engine's cache directory: %w", err)
	}
	lock, err := acquireLock(ctx, filepath.Join(in.dir, "install.lock"), 15*time.Minute)
	if err != nil {
		return "", fmt.Errorf("wait for another installation of the ClickHouse engine: %w", err)
	}
	defer lock.release()
	if in.installed() {
		return in.library(), nil
	}
	return in.library(), in.fetchAndUnpack(ctx)
}

// fetchAndUnpack runs with the installation lock held.
func (in installer) fetchAndUnpack(ctx context.Context) error {
	start := time.Now()
	tmp, err := os.MkdirTemp(in.dir, "fetch-")
	if err != nil {
		return fmt.Errorf("create a directory for the download: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()

	fmt.Fprintf(in.progress, "ClickHouse engine %s: fetching %s with npm (%d MB, once)\n", Version, in.release.pkg, in.release.download)
	tarball, published, err := in.fetch(ctx, in.release, tmp)
	if err != nil {
		return err
	}
	want, whose := in.release.integrity, "pinned"
	if want == "" {
		want, whose = published, "the registry's, none is pinned for this platform"
	}
	if err := verifyIntegrity(tarball, want); err != nil {
		return fmt.Errorf("the download of %s %s was refused: %w", in.release.pkg, Version, err)
	}
	fmt.Fprintf(in.progress, "ClickHouse engine %s: checksum good (%s), unpacking %d MB\n", Version, whose, in.release.unpacked)

	lib := filepath.Join(tmp, in.release.library)
	size, err := extract(ctx, tarball, "package/"+in.release.library, lib)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", in.release.pkg, err)
	}
	if err := os.Rename(lib, in.library()); err != nil {
		return fmt.Errorf("move the ClickHouse engine into place: %w", err)
	}
	note := receipt{Package: in.release.pkg, Version: Version, Integrity: want, Size: size}
	if err := writeReceipt(in.receipt(), note); err != nil {
		return err
	}
	fmt.Fprintf(in.progress, "ClickHouse engine %s: ready in %s after %s\n", Version, in.dir, time.Since(start).Round(100*time.Millisecond))
	return nil
}

func writeReceipt(path string, r receipt) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the ClickHouse engine's receipt: %w", err)
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, raw, 0o644); err != nil {
		return fmt.Errorf("write the ClickHouse engine's receipt: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("move the ClickHouse engine's receipt into place: %w", err)
	}
	return nil
}
