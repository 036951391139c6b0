package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/demo"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/dev"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/sinks/clickhouse"
	"github.com/handoff-dev/handoff/sinks/clickhouse/embedded"
)

// house is what outlives the processes that are killed.
type house struct {
	t       *testing.T
	binary  string
	env     []string
	outside *dev.Outside
	kafka   *kfake.Cluster
	db      *clickhouse.DB
	engine  *embedded.Server
	front   string
	admin   string
	dir     string
}

// openHouse starts broker, engine and stand-ins; topics and settings are applied
// through the binary.
func openHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), binary: os.Getenv(binaryVariable)}
	var err error
	if h.kafka, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.kafka.Close)
	h.startEngine("")
	t.Cleanup(func() { check(t, h.engine.Close()) })
	h.front, h.admin = freeAddress(t), freeAddress(t)
	if h.outside, err = dev.OpenOutside("http://"+h.front, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, h.outside.Close()) })
	h.env = append(append(os.Environ(), dev.SecretEnvironment()...),
		"HANDOFF_KAFKA__BROKERS="+strings.Join(h.kafka.ListenAddrs(), ","), fmt.Sprintf("HANDOFF_KAFKA__PARTITIONS=%d", schemas.DemoPartitions),
		"HANDOFF_KAFKA__REPLICATION=1", "HANDOFF_KAFKA__SESSION_TIMEOUT=4s", "HANDOFF_KAFKA__TRANSACTION_TIMEOUT=3s",
		"HANDOFF_CLICKHOUSE__ADDRESS="+h.engine.Addr(), "HANDOFF_CLICKHOUSE__PROTOCOL=http",
		"HANDOFF_HTTP__LISTEN="+h.front, "HANDOFF_HTTP__OPERATOR_TOKEN=env:DEV_OPERATOR",
		"HANDOFF_OUTSIDE__REQUEST_TIMEOUT=1s", "HANDOFF_OUTSIDE__SETTLE=1s",
		"HANDOFF_STATE_DIR="+filepath.Join(h.dir, "state"), "HANDOFF_DRAIN=5s", "HANDOFF_LOG__LEVEL="+logLevel())
	h.run("topics", "apply")
	for _, shop := range dev.ShopNames() {
		h.applyShop(shop)
	}
	if h.db, err = clickhouse.Open(clickhouse.Config{Addr: []string{h.engine.Addr()}, Protocol: clickhouse.HTTP}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, h.db.Close()) })
	return h
}

// startEngine starts ClickHouse on the house's data, on an address or a free one.
func (h *house) startEngine(address string) {
	h.t.Helper()
	var err error
	h.engine, err = embedded.Start(h.t.Context(), embedded.Options{
		Exe: h.binary, ExeArgs: []string{"clickhouse-engine"}, DataDir: filepath.Join(h.dir, "clickhouse"), Listen: address,
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) applyShop(shop string) {
	h.t.Helper()
	doc, err := h.outside.ShopDocument(shop, true)
	if err != nil {
		h.t.Fatal(err)
	}
	file := filepath.Join(h.dir, shop+".yaml")
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.run("settings", "apply", "-f", file)
}

// run runs a command of the binary to its end.
func (h *house) run(args ...string) string {
	h.t.Helper()
	out, code := h.try(h.env, args...)
	if code != 0 {
		h.t.Fatalf("handoff %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// try runs a command of the binary to its end, in an environment, and tells its exit code; -1 when it
// did not end by itself within 30 s.
func (h *house) try(env []string, args ...string) (out string, code int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.binary, args...)
	cmd.Env = env
	raw, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		h.t.Fatalf("handoff %s: %v", strings.Join(args, " "), err)
	}
	return string(raw), cmd.ProcessState.ExitCode()
}

// process is one process of ours that is killed and started again.
type process struct {
	h    *house
	name string
	args []string
	env  []string

	mu     sync.Mutex
	cmd    *exec.Cmd
	log    bytes.Buffer
	exited chan struct{}
	over   bool
	// away is how long a killed process stays away.
	away time.Duration
}

// start runs the binary with args until stop; it is not restarted by itself.
func (h *house) start(name, admin string, args ...string) *process {
	return h.startIn(filepath.Join(h.dir, "state"), name, admin, args...)
}

// startIn is start with a state directory of its own.
func (h *house) startIn(state, name, admin string, args ...string) *process {
	p := &process{h: h, name: name, args: args, env: append(append([]string{}, h.env...),
		"HANDOFF_HTTP__ADMIN="+admin, "HANDOFF_INSTANCE="+name, "HANDOFF_STATE_DIR="+state)}
	p.launch()
	h.t.Cleanup(p.stop)
	return p
}

func (p *process) launch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.cmd = exec.Command(p.h.binary, p.args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = p.env, &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		p.h.t.Errorf("start %s: %v", p.name, err)
		return
	}
	cmd, exited := p.cmd, make(chan struct{})
	p.exited = exited
	go func() {
		_ = cmd.Wait() // killed: how it ended is known
		close(exited)
	}()
}

// kill ends the process with SIGKILL and starts it again after the time it stays away.
func (p *process) kill() {
	p.mu.Lock()
	cmd, exited, away := p.cmd, p.exited, p.away
	p.mu.Unlock()
	_ = cmd.Process.Kill() // it may have ended by itself; launch starts it again
	<-exited
	select {
	case <-p.h.t.Context().Done():
	case <-time.After(away):
	}
	p.launch()
}

// terminate ends it with SIGTERM, as an operator does, and tells its exit code and how long it took.
// launch starts it again.
func (p *process) terminate() (code int, took time.Duration) {
	p.h.t.Helper()
	p.mu.Lock()
	cmd, exited := p.cmd, p.exited
	p.mu.Unlock()
	began := time.Now()
	check(p.h.t, cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-exited:
	case <-time.After(20 * time.Second):
		p.h.t.Fatalf("%s did not end within 20 s of SIGTERM", p.name)
	}
	return cmd.ProcessState.ExitCode(), time.Since(began)
}

// stop ends it for good.
func (p *process) stop() {
	p.mu.Lock()
	p.over = true
	cmd, exited := p.cmd, p.exited
	p.mu.Unlock()
	_ = cmd.Process.Signal(os.Interrupt)
	select {
	case <-exited:
	case <-time.After(20 * time.Second):
		p.h.t.Errorf("%s did not end within 20 s of SIGINT", p.name)
		_ = cmd.Process.Kill()
		<-exited
	}
	if p.h.t.Failed() {
		p.h.t.Logf("log of %s:\n%s", p.name, tail(p.log.String(), 6000))
	}
	if dir := os.Getenv("HANDOFF_E2E_LOGS"); dir != "" {
		check(p.h.t, os.WriteFile(filepath.Join(dir, p.h.t.Name()+"-"+p.name+".log"), p.log.Bytes(), 0o600))
	}
}

// await waits until an address says it is ready.
func (h *house) await(urls ...string) {
	h.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for _, url := range urls {
		for {
			resp, err := http.Get(url)
			if err == nil {
				check(h.t, resp.Body.Close())
				if resp.StatusCode == http.StatusOK {
					break
				}
			}
			if time.Now().After(deadline) {
				h.t.Fatalf("%s is not ready", url)
			}
			time.Sleep(50 * time.Millisecond) // polls an observable condition, bounded above
		}
	}
}

// poll waits until a condition holds, at most for patience.
func (h *house) poll(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for %s", patience, what)
		}
		time.Sleep(20 * time.Millisecond) // polls an observable condition, bounded above
	}
}

// metric sums the samples of a metric that have the labels, each as `name="value"`, at an admin
// address.
func (h *house) metric(t *testing.T, admin, name string, labels ...string) float64 {
	t.Helper()
	resp, err := http.Get("http://" + admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sum := 0.0
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), "} ")
		rest, ok := strings.CutPrefix(series, name+"{")
		if !ok || slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(","+rest+",", ","+l+",") }) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("metric %s: %v", series, err)
		}
		sum += n
	}
	check(t, lines.Err())
	return sum
}

// talk begins a conversation of a customer with a shop.
func (h *house) talk(shop string, number int) *talk {
	for _, s := range h.shops() {
		if s.ID == shop {
			return &talk{h: h, shop: s, customer: customerNumber(number), marker: fmt.Sprintf("88%04d", number)}
		}
	}
	panic("no shop " + shop)
}

// shops are the house's shops as the demo's people know them.
func (h *house) shops() []*demo.Shop { return demo.HouseShops(h.outside) }

// logLevel of the processes: with HANDOFF_E2E_LOGS, a directory, everything is logged and kept there.
func logLevel() string {
	if os.Getenv("HANDOFF_E2E_LOGS") != "" {
		return "debug"
	}
	return "warn"
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := dev.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
