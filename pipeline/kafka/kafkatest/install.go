package kafkatest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Version of Apache Kafka that is run unless Config.Version names another.
//
// It is the newest that keeps what it acknowledged when a partition's only replica goes down. Kafka 4.3.0,
// 4.3.1 and 4.4.0 do not (KAFKA-20734): a transaction's coordinator that finds a partition without a
// leader takes the topic for deleted, writes no marker there and calls the transaction complete. What was
// committed then belongs to the producer's next transaction, whatever becomes of that. Before another
// version is written here, TestKilledNodeKeepsCommits must pass with it.
const Version = "4.2.2"

//go:embed pom.xml
var pom string

// anyVersion is where pom names the version.
const anyVersion = "VERSION"

// complete is a file in the library's directory, written last.
const complete = ".complete"

// installWait bounds the fetch, and the wait for another process that fetches.
const installWait = 10 * time.Minute

// Install fetches the libraries of a version of Kafka with Maven into the user's cache unless they are
// there, and returns their directory. Several processes may ask at once: one fetches, the others wait for
// it. What was half fetched by a process that was killed is fetched again.
func Install(ctx context.Context, version string, progress io.Writer) (dir string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache for Kafka: %w", err)
	}
	dir = filepath.Join(cache, "handoff", "kafka-"+version)
	if isComplete(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("make the cache for Kafka: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, installWait)
	defer cancel()
	unlock, err := lock(ctx, dir+".lock")
	if err != nil {
		return "", fmt.Errorf("wait for another fetch of Kafka: %w", err)
	}
	defer unlock()
	if isComplete(dir) {
		return dir, nil
	}
	fmt.Fprintf(progress, "fetching Apache Kafka %s with Maven (45 MB, once)\n", version)
	if err := fetch(ctx, version, dir); err != nil {
		return "", fmt.Errorf("fetch Kafka: %w", err)
	}
	return dir, nil
}

func isComplete(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, complete))
	return err == nil
}

// fetch has Maven copy the libraries beside dir and moves them there as a whole.
func fetch(ctx context.Context, version, dir string) error {
	maven, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("no mvn found: install Maven, it fetches Kafka")
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "kafka-fetch")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	project, lib := filepath.Join(work, "pom.xml"), filepath.Join(work, "lib")
	if err := os.WriteFile(project, []byte(strings.ReplaceAll(pom, anyVersion, version)), 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, maven, "--quiet", "--batch-mode", "--file", project,
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+lib)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("mvn: %w\n%s", err, lastLines(out.Bytes(), 15))
	}
	if jars, err := filepath.Glob(filepath.Join(lib, "kafka_*-"+version+".jar")); err != nil || len(jars) == 0 {
		return fmt.Errorf("mvn succeeded, but there is no broker in what it fetched\n%s", lastLines(out.Bytes(), 15))
	}
	if err := os.WriteFile(filepath.Join(lib, complete), nil, 0o644); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // half of an earlier fetch
		return err
	}
	return os.Rename(lib, dir)
}

// lock takes a lock that the kernel drops when its holder ends, however it ends.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, ctx.Err())
		}
	}
}
