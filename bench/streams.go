package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// streamsDir is the Maven project, seen from the module's directory, in which bench runs.
const streamsDir = "streams"

// streamsHeap of the Java side.
const streamsHeap = "1536m"

// streamsSources is a fingerprint of the Maven project.
func streamsSources() (string, error) {
	sum := sha256.New()
	sources, err := filepath.Glob(filepath.Join(streamsDir, "src/main/java/dev/handoff/bench/*.java"))
	if err != nil || len(sources) == 0 {
		return "", errors.Join(errors.New("no Kafka Streams sources: run in the directory bench"), err)
	}
	for _, name := range append(sources, filepath.Join(streamsDir, "pom.xml")) {
		raw, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("read the Kafka Streams project: %w", err)
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(raw))
		sum.Write(raw)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// buildStreams compiles the Maven project and fetches what it needs, unless that was done for these
// sources.
func buildStreams(ctx context.Context) error {
	want, err := streamsSources()
	if err != nil {
		return err
	}
	stamp := filepath.Join(streamsDir, "target", "built")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	fmt.Fprintln(os.Stderr, "building the Kafka Streams side with Maven (90 MB on first use) ...")
	cmd := exec.CommandContext(ctx, "mvn", "--quiet", "--batch-mode", "compile",
		"dependency:copy-dependencies", "-DoutputDirectory=target/lib", "-DincludeScope=runtime")
	cmd.Dir = streamsDir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the Kafka Streams side (it needs JDK 17 and Maven): %w\n%s", err, out)
	}
	return os.WriteFile(stamp, []byte(want), 0o644)
}

// streamsCmd is the Java side's process.
func streamsCmd(ctx context.Context, s sideSpec) (*exec.Cmd, error) {
	if err := buildStreams(ctx); err != nil {
		return nil, err
	}
	cache := s.CacheBytes
	if s.Side == sideStreamsNoCache {
		cache = 0
	}
	linger := 20
	if s.LowLatency {
		linger = 5
	}
	classes, lib := filepath.Join(streamsDir, "target", "classes"), filepath.Join(streamsDir, "target", "lib", "*")
	return exec.CommandContext(ctx, "java", "-Xmx"+streamsHeap, "-Xms"+streamsHeap, "-XX:+UseParallelGC",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classes+":"+lib, "dev.handoff.bench.Main",
		"application="+s.group(), "brokers="+s.Brokers[0], "in="+s.In, "out="+s.Out, "dir="+s.Dir,
		"machine="+s.Machine, "compression="+s.Compression, "commit="+strconv.Itoa(s.CommitMillis),
		"linger="+strconv.Itoa(linger), "cache="+strconv.FormatInt(cache, 10),
		"window="+strconv.FormatInt(window.Milliseconds(), 10)), nil
}
