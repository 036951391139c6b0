package embedded

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// maxLibrary bounds what is unpacked, in bytes: four times the largest library
// published so far.
const maxLibrary = 2 << 30

// npmFetch downloads the package with `npm pack`, which uses the user's
// registry, proxy and cache settings and runs no script of the package.
func npmFetch(ctx context.Context, rel release, dir string) (tarball, integrity string, err error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", "", fmt.Errorf("%w: npm was not found on the PATH. Install Node.js 18 or newer (it brings npm), or put a `clickhouse` binary (24.8 or newer) on the PATH, then try again", ErrNoEngine)
	}
	spec := rel.pkg + "@" + Version
	cmd := exec.CommandContext(ctx, npm, "pack", spec, "--json", "--ignore-scripts", "--pack-destination", dir)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", "", fmt.Errorf("%w: `npm pack %s` failed (%v): %s. Check the registry that `npm config get registry` names, or put a `clickhouse` binary (24.8 or newer) on the PATH",
			ErrNoEngine, spec, err, lastLines(stderr.String(), 3))
	}
	return readPackReport(out, dir)
}

// readPackReport takes the tarball's name and integrity from npm's report.
func readPackReport(out []byte, dir string) (tarball, integrity string, err error) {
	var report []struct {
		Filename  string `json:"filename"`
		Integrity string `json:"integrity"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return "", "", fmt.Errorf("read npm's report: %w", err)
	}
	if len(report) != 1 {
		return "", "", fmt.Errorf("npm packed %d packages, expected one", len(report))
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(found) != 1 {
		return "", "", fmt.Errorf("npm reported %q but left %d archives", report[0].Filename, len(found))
	}
	return found[0], report[0].Integrity, nil
}

// verifyIntegrity compares a file's SHA-512 with a value in npm's notation.
func verifyIntegrity(path, want string) error {
	encoded, ok := strings.CutPrefix(want, "sha512-")
	if !ok {
		return fmt.Errorf("its published checksum %q is not a SHA-512", want)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the download: %w", err)
	}
	defer func() { _ = f.Close() }()
	sum := sha512.New()
	if _, err := io.Copy(sum, f); err != nil {
		return fmt.Errorf("read the download: %w", err)
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != encoded {
		return fmt.Errorf("its checksum is sha512-%s, expected %s", got, want)
	}
	return nil
}

// extract writes one member of a gzipped tar archive to path, flushed to
// disk, and returns its size. It looks at no other member.
func extract(ctx context.Context, archive, member, path string) (int64, error) {
	f, err := os.Open(archive)
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return 0, fmt.Errorf("read the archive: %w", err)
	}
	tr := tar.NewReader(zr)
	for {
		head, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("the archive holds no %s", member)
		}
		if err != nil {
			return 0, fmt.Errorf("read the archive: %w", err)
		}
		if head.Name != member || head.Typeflag != tar.TypeReg {
			continue
		}
		if head.Size > maxLibrary {
			return 0, fmt.Errorf("%s says to be %d bytes, more than is accepted", member, head.Size)
		}
		return head.Size, writeSynced(ctx, path, tr)
	}
}

// writeSynced copies r to a new file and flushes it, checking ctx as it goes.
func writeSynced(ctx context.Context, path string, r io.Reader) error {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}))
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// readerFunc makes a function an io.Reader.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// lastLines returns the last n non-empty lines of a text, joined by "; ".
func lastLines(text string, n int) string {
	var kept []string
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept[max(0, len(kept)-n):], "; ")
}
