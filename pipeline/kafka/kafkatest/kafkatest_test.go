package kafkatest

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// needsJava skips where the test could only say that something is not installed.
func needsJava(t *testing.T) {
	t.Helper()
	if _, err := findJava(); err != nil {
		t.Skip(err)
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		t.Skip(err)
	}
	if testing.Short() {
		t.Skip("starts brokers")
	}
}

// TestNodeLives: what was acknowledged survives a node's kill, a clean stop, and the cluster's end.
func TestNodeLives(t *testing.T) {
	needsJava(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	c := start(ctx, t, Config{Dir: dir})
	produce(ctx, t, c, "first")
	if err := c.Kill(1); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", c.Brokers()[0]); err == nil {
		conn.Close()
		t.Error("a killed node still listens")
	}
	if err := c.Start(ctx, 1); err != nil {
		t.Fatal(err)
	}
	produce(ctx, t, c, "second")
	if err := c.Restart(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(2); err == nil {
		t.Error("there is no node 2, and Kill does not say so")
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(ctx, Config{Dir: dir, Nodes: 3}); err == nil || !strings.Contains(err.Error(), "has 1 nodes") {
		t.Errorf("a cluster of one node starts as three: %v", err)
	}
	// The nodes do not outlive the context.
	life, end := context.WithCancel(ctx)
	defer end()
	c = start(life, t, Config{Dir: dir})
	if got := consume(ctx, t, c, 2); strings.Join(got, " ") != "first second" {
		t.Errorf("read %q", got)
	}
	end()
	select {
	case <-c.nodes[0].process().ended:
	case <-ctx.Done():
		t.Error("the node still runs")
	}
}

func start(ctx context.Context, t *testing.T, cfg Config) *Cluster {
	t.Helper()
	cfg.Java = []string{"-XX:TieredStopAtLevel=1"}
	c, err := Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func produce(ctx context.Context, t *testing.T, c *Cluster, value string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if topics, err := admin.ListTopics(ctx, "t"); err != nil {
		t.Fatal(err)
	} else if !topics.Has("t") {
		if _, err := admin.CreateTopic(ctx, 1, -1, nil, "t"); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func consume(ctx context.Context, t *testing.T, c *Cluster, n int) (all []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for len(all) < n && ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { all = append(all, string(r.Value)) })
	}
	return all
}

// TestStartSaysWhy: a node that cannot start is told of with the end of its log.
func TestStartSaysWhy(t *testing.T) {
	needsJava(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := Start(ctx, Config{Settings: map[string]string{"log.segment.bytes": "nothing"}})
	if err == nil || !strings.Contains(err.Error(), "log.segment.bytes") {
		t.Errorf("Start: %v", err)
	}
	if _, err := Start(ctx, Config{Nodes: 2}); err == nil || !strings.Contains(err.Error(), "2 nodes") {
		t.Errorf("Start of two nodes: %v", err)
	}
}

func TestPorts(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := choosePorts(ln.Addr().(*net.TCPAddr).Port, 1, 2); err == nil {
		t.Error("a port in use is chosen")
	}
	ports, err := choosePorts(0, 3, 2)
	if err != nil || len(ports) != 3 || ports[1] != ports[0]+2 || ports[2] != ports[0]+4 {
		t.Errorf("ports %v: %v", ports, err)
	}
}

func TestIDIsNoOption(t *testing.T) {
	for range 1000 {
		if id := newID(); id[0] == '-' || len(id) != 22 {
			t.Fatalf("id %q", id)
		}
	}
}

// TestInstall puts a Maven in front that makes what it is told to: only one of two at once fetches, half
// a fetch is not used, and a failing one says why.
func TestInstall(t *testing.T) {
	cache, bin := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	script := func(body string) {
		if err := os.WriteFile(filepath.Join(bin, "mvn"), []byte("#!/bin/sh\n"+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script("echo the registry is away; exit 3")
	var progress bytes.Buffer
	if _, err := Install(t.Context(), Version, &progress); err == nil || !strings.Contains(err.Error(), "the registry is away") {
		t.Errorf("Install: %v", err)
	}
	script("exit 0")
	if _, err := Install(t.Context(), Version, &progress); err == nil || !strings.Contains(err.Error(), "no broker") {
		t.Errorf("Install: %v", err)
	}
	where, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(where, "handoff", "kafka-"+Version)
	if err := os.MkdirAll(filepath.Join(dir, "half"), 0o755); err != nil {
		t.Fatal(err)
	}
	script(`echo fetched >> ` + filepath.Join(cache, "times") + `
for a; do case $a in -DoutputDirectory=*) out=${a#*=};; esac; done
mkdir -p "$out" && : > "$out/kafka_2.13-` + Version + `.jar"`)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if got, err := Install(t.Context(), Version, &bytes.Buffer{}); err != nil || got != dir {
				t.Errorf("Install: %s %v", got, err)
			}
		})
	}
	both.Wait()
	if raw, err := os.ReadFile(filepath.Join(cache, "times")); err != nil || strings.Count(string(raw), "fetched") != 1 {
		t.Errorf("fetched %q times: %v", raw, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "half")); err == nil {
		t.Error("half an earlier fetch is still there")
	}
}
