package embedded

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// packed makes a package's tarball and its integrity value.
func packed(t *testing.T, files map[string]string) ([]byte, string) {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for name, text := range files {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512(buf.Bytes())
	return buf.Bytes(), "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// testInstaller fetches a given tarball and counts how often.
func testInstaller(dir string, tarball []byte, integrity, published string, fetched *atomic.Int32) installer {
	return installer{
		dir:      dir,
		release:  release{pkg: "@x/lib", integrity: integrity, library: "libchdb.so"},
		progress: &tail{},
		fetch: func(_ context.Context, _ release, into string) (string, string, error) {
			fetched.Add(1)
			path := filepath.Join(into, "x.tgz")
			return path, published, os.WriteFile(path, tarball, 0o600)
		},
	}
}

func TestInstallOnceForAll(t *testing.T) {
	tarball, integrity := packed(t, map[string]string{"package/package.json": "{}", "package/libchdb.so": "the library"})
	dir := t.TempDir()
	var fetched atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			path, err := testInstaller(dir, tarball, integrity, "", &fetched).install(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != "the library" {
				t.Errorf("%q, %v", text, err)
			}
		})
	}
	wg.Wait()
	if fetched.Load() != 1 {
		t.Errorf("fetched %d times", fetched.Load())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "fetch-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// A library that was cut short is not taken for an installed one.
	if err := os.Truncate(filepath.Join(dir, "libchdb.so"), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := testInstaller(dir, tarball, integrity, "", &fetched).install(t.Context()); err != nil || fetched.Load() != 2 {
		t.Errorf("a cut-off library: fetched %d times, %v", fetched.Load(), err)
	}
}

func TestInstallRefuses(t *testing.T) {
	good, integrity := packed(t, map[string]string{"package/libchdb.so": "the library"})
	empty, emptyIntegrity := packed(t, map[string]string{"package/other": "x"})
	for name, c := range map[string]struct {
		tarball           []byte
		pinned, published string
		want              string
	}{
		"another checksum than pinned":    {good, emptyIntegrity, integrity, "checksum"},
		"another checksum than published": {good, "", emptyIntegrity, "checksum"},
		"no checksum at all":              {good, "", "", "not a SHA-512"},
		"a package without the library":   {empty, emptyIntegrity, "", "holds no package/libchdb.so"},
		"a tarball that is cut off":       {good[:len(good)-30], "", cutIntegrity(good), "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var fetched atomic.Int32
			_, err := testInstaller(dir, c.tarball, c.pinned, c.published, &fetched).install(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, expected %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(dir, "libchdb.so")); err == nil {
				t.Error("a refused library was put into place")
			}
		})
	}
}

// cutIntegrity is the value for the cut-off tarball, so that the archive and
// not the checksum is what fails.
func cutIntegrity(tarball []byte) string {
	sum := sha512.Sum512(tarball[:len(tarball)-30])
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestNoNpmSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, _, err := npmFetch(t.Context(), release{pkg: "@x/lib"}, t.TempDir())
	if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), "Node.js") || !strings.Contains(err.Error(), "clickhouse") {
		t.Errorf("%v", err)
	}
}

func TestFailingNpmSaysWhatItSaid(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte("#!/bin/sh\necho 'npm error network away' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	_, _, err := npmFetch(t.Context(), release{pkg: "@x/lib"}, t.TempDir())
	if !errors.Is(err, ErrNoEngine) || !strings.Contains(err.Error(), "network away") {
		t.Errorf("%v", err)
	}
}

func TestEveryPlatformIsPinnedByVersion(t *testing.T) {
	for _, p := range [][2]string{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}} {
		rel, ok := releaseFor(p[0], p[1])
		if !ok || !strings.HasPrefix(rel.pkg, "@chdb/lib-") || rel.integrity != "" && !strings.HasPrefix(rel.integrity, "sha512-") {
			t.Errorf("%v: %+v %v", p, rel, ok)
		}
	}
	if _, ok := releaseFor("windows", "amd64"); ok {
		t.Error("a release for a platform that has none")
	}
}
