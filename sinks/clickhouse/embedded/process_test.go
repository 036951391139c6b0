package embedded_test

import (
	"bufio"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/sinks/clickhouse/embedded"
)

// beParent is the life of a process that is going to be killed.
func beParent() {
	s, err := embedded.Start(context.Background(), embedded.Options{ExeArgs: []string{childArgument}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.Addr())
	<-s.Done()
	os.Exit(0)
}

// awaitRefused waits until nobody listens on an address any more.
func awaitRefused(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			return
		}
		_ = conn.Close()
		time.Sleep(20 * time.Millisecond) // polls the condition, with a bound
	}
	t.Errorf("%s still answers", addr)
}

// TestEndsWithItsParent: a parent that is killed cannot stop anything, so its
// engine has to notice.
func TestEndsWithItsParent(t *testing.T) {
	startEngine(t, "") // installs the engine first, so that the child below is quick
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self, parentArgument)
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the parent gave no address: %v", err)
	}
	addr := strings.TrimSpace(line)
	if resp, err := http.Get("http://" + addr + "/ping"); err != nil {
		t.Fatal(err)
	} else {
		_ = resp.Body.Close()
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	awaitRefused(t, addr)
}

func TestDeathIsNoticed(t *testing.T) {
	s := startEngine(t, "")
	p, err := os.FindProcess(s.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Err(); err != nil {
		t.Fatalf("a running engine's error: %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("the engine's death was not noticed")
	}
	if err := s.Err(); !embedded.IsExit(err) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the end's reason: %v", err)
	}
}

func TestOneEnginePerDirectory(t *testing.T) {
	dir := t.TempDir()
	first := startEngine(t, dir)
	opt := embedded.Options{DataDir: dir, ExeArgs: []string{childArgument}, LockWait: 100 * time.Millisecond}
	if s, err := embedded.Start(t.Context(), opt); err == nil {
		_ = s.Close()
		t.Fatal("a second engine runs on the same directory")
	} else if !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("the refusal does not say why: %v", err)
	}
	// The next one waits for a predecessor that is about to end.
	opt.LockWait = 10 * time.Second
	started := make(chan error, 1)
	go func() {
		s, err := embedded.Start(context.WithoutCancel(t.Context()), opt)
		if err == nil {
			err = s.Close()
		}
		started <- err
	}()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Errorf("the successor: %v", err)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s, err := embedded.Start(t.Context(), embedded.Options{ExeArgs: []string{childArgument}})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := errors.Join(s.Close(), s.Close(), s.Err()); err != nil {
		t.Error(err)
	}
	t.Logf("closed in %s", time.Since(start))
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

func TestStartRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		opt  embedded.Options
		want string
	}{
		"an address beyond loopback": {embedded.Options{Listen: "0.0.0.0:0"}, "loopback"},
		"a missing program":          {embedded.Options{Exe: "/nonexistent", Engine: "libchdb.so"}, "start the ClickHouse engine's process"},
		"a file that is no library":  {embedded.Options{ExeArgs: []string{childArgument}, Engine: notALibrary(t)}, "load the ClickHouse engine"},
	} {
		if s, err := embedded.Start(t.Context(), c.opt); err == nil {
			_ = s.Close()
			t.Errorf("%s was accepted", name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
}

func notALibrary(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// beClickHouse stands in for a `clickhouse` binary: it reads its configuration
// as a server does and answers /ping and the one query that the test asks.
func beClickHouse(args []string) {
	raw, err := os.ReadFile(strings.TrimPrefix(args[0], "--config-file="))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var config struct {
		Host string `xml:"listen_host"`
		Port string `xml:"http_port"`
		Path string `xml:"path"`
	}
	if err := xml.Unmarshal(raw, &config); err != nil || !strings.HasSuffix(config.Path, "/data/") {
		fmt.Fprintln(os.Stderr, "bad configuration", err)
		os.Exit(1)
	}
	err = http.ListenAndServe(net.JoinHostPort(config.Host, config.Port), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping" {
			_, _ = io.WriteString(w, "Ok.\n")
			return
		}
		_, _ = io.WriteString(w, "a server's answer\n")
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestBinaryOnThePath: where there is a `clickhouse`, it is what runs, and it
// ends with its parent too.
func TestBinaryOnThePath(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "clickhouse")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	s := startEngine(t, filepath.Join(t.TempDir(), "a <dir> & more"))
	code, text, _ := ask(t, "POST", address(s), "SELECT 1")
	if code != 200 || text != "a server's answer\n" {
		t.Errorf("%d %q", code, text)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	awaitRefused(t, s.Addr())
}

func TestBinaryThatFails(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "clickhouse"), []byte("#!/bin/sh\necho 'cannot start here' >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	_, err := embedded.Start(t.Context(), embedded.Options{ExeArgs: []string{childArgument}})
	if err == nil || !strings.Contains(err.Error(), "cannot start here") {
		t.Errorf("%v", err)
	}
}
