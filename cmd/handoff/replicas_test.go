package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/kafka/kafkatest"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// TestRealKafkaTooFewReplicas: of three nodes so many are away that Kafka takes no records: first fewer replicas are in
// sync than min.insync.replicas, then the cluster has no majority. The gateway answers 503 meanwhile, stage and sink
// wait, all of them say what is missing, and once the nodes are back all go on by themselves: what the gateway
// acknowledged is there once.
func TestRealKafkaTooFewReplicas(t *testing.T) {
	t.Setenv("HANDOFF_TEST_TOKEN", "secret")
	cluster := kafkatest.ForTest(t, kafkatest.Config{Nodes: 3, Heap: "384m"})
	h := &inspected{t: t, set: []string{"kafka.brokers=" + cluster.Brokers()[0], "kafka.partitions=2", "kafka.replication=3", "kafka.session_timeout=10s",
		"instance=one", "http.admin=127.0.0.1:0", "http.listen=127.0.0.1:0", "http.operator_token=env:HANDOFF_TEST_TOKEN"}}
	shop := filepath.Join(t.TempDir(), "acme.yaml")
	if err := os.WriteFile(shop, []byte(acmeSettings), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"topics", "apply"}, {"settings", "apply", "-f", shop}} {
		h.until(args[0]+" apply", func() bool { // a coordinator may still begin
			_, _, code := h.at(args...)
			return code == 0
		})
	}
	consent, gateway := h.starts("run", "consent"), h.starts("gateway")
	sink := h.countsFacts(cluster.Brokers())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("consent:\n%s\ngateway:\n%s\nsink:\n%s", consent.said(), gateway.said(), sink.said())
		}
	})
	comers := &crowd{url: gateway.listens("gateway")}
	comers.come(t)
	h.until("the first are through", func() bool { return comers.taken.Load() > 20 && sink.read() > 20 })

	away := func(what, words string, nodes []int, lack func()) {
		t.Helper()
		began, restarts := time.Now(), consent.metric("handoff_runner_restarts_total")
		lack()
		h.until(what+": the gateway answers 503", func() bool { return comers.refused.Swap(0) > 0 })
		taken := comers.taken.Load()
		for name, p := range map[string]*process{"consent": consent, "gateway": gateway} {
			h.until(what+": "+name+" says it", func() bool { return strings.Contains(p.said(), words) })
			h.until(what+": "+name+" is not ready", func() bool { return p.ready() != http.StatusOK })
		}
		h.until(what+": the sink says it", func() bool { return strings.Contains(sink.said(), words) })
		if consent.metric("handoff_ready") != 0 {
			t.Errorf("%s: handoff_ready is %v", what, consent.metric("handoff_ready"))
		}
		t.Logf("%s: all said so after %s; %v restarts", what, time.Since(began), consent.metric("handoff_runner_restarts_total")-restarts)
		if n := comers.taken.Load(); n != taken {
			t.Errorf("%s: %d requests were answered 2xx meanwhile", what, n-taken)
		}
		began = time.Now()
		for _, n := range nodes {
			if err := cluster.Start(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%s: the nodes are back after %s", what, time.Since(began))
		h.until(what+": people are taken again", func() bool { return comers.taken.Load() > taken+20 })
		h.until(what+": all are ready", func() bool { return consent.ready() == http.StatusOK && gateway.ready() == http.StatusOK })
		t.Logf("%s: all go on %s after the nodes were started", what, time.Since(began))
	}
	kill := func(nodes ...int) {
		for _, n := range nodes {
			if err := cluster.Kill(n); err != nil {
				t.Fatal(err)
			}
		}
	}
	away("too few in sync", "min.insync.replicas", []int{3}, func() { h.demand("3"); kill(3) })
	h.demand("2")
	away("two nodes of three", "do not answer", []int{2, 3}, func() { kill(2, 3) })

	comers.stop()
	n := int(comers.taken.Load())
	h.until("all are through", func() bool {
		_, _, code := h.at("lag", "consent", "--fail-above", "0")
		return code == 0 && sink.read() >= n
	})
	sink.check(t, comers)
}

// demand sets min.insync.replicas of all topics.
func (h *inspected) demand(n string) {
	h.t.Helper()
	admin := kadm.NewClient(h.client())
	topics, err := admin.ListTopics(h.t.Context())
	if err == nil {
		_, err = admin.AlterTopicConfigs(h.t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "min.insync.replicas", Value: &n}}, topics.Names()...)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// crowd is people who are imported one by one, each sent again until it is taken.
type crowd struct {
	url            string
	taken, refused atomic.Int32
	stop           func()
	all            []string // taken
}

// come has them come until stop.
func (p *crowd) come(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	p.stop = sync.OnceFunc(func() { cancel(); done.Wait() })
	t.Cleanup(p.stop)
	done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			address := fmt.Sprintf("+1415555%04d", i)
			for status := 0; status != http.StatusAccepted && ctx.Err() == nil; {
				status = p.sent(t, address)
				switch {
				case status == http.StatusServiceUnavailable:
					p.refused.Add(1)
				case status != http.StatusAccepted:
					t.Errorf("%s is answered %d", address, status)
					return
				default:
					p.all = append(p.all, address)
					p.taken.Add(1)
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
}

// sent imports one person through the gateway and returns its status.
func (p *crowd) sent(t *testing.T, address string) int {
	body := "address,channel,status,time,source\n" + address + ",sms,subscribed,2026-01-02T03:04:05Z,platform\n"
	req, err := http.NewRequest(http.MethodPost, p.url+"/shops/acme/consent", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header.Set("Authorization", "Bearer secret")
	req.Header.Set("Content-Type", "text/csv")
	res, err := (&http.Client{Timeout: time.Minute}).Do(req) // it answers after seconds, on a machine that has time
	if err != nil {
		t.Error(err)
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// process is a command in a process of its own.
type process struct {
	t     *testing.T
	admin string // where its admin endpoint is

	mu  sync.Mutex
	log bytes.Buffer // guarded by mu
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// starts runs a command until the test ends.
func (h *inspected) starts(command ...string) *process {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	p := &process{t: h.t}
	cmd := exec.Command(self, append(append(command, h.flags()...), "--set", "state_dir="+filepath.Join(h.t.TempDir(), "state"))...)
	cmd.Env, cmd.Stderr = append(os.Environ(), commandEnv+"=1"), p
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p.admin = p.listens("running")
	return p
}

// listens waits for the address that a line of the log ends or goes on with.
func (p *process) listens(line string) (url string) {
	p.t.Helper()
	at := regexp.MustCompile("msg=" + line + ` \w+=(http://\S+)`)
	h := &inspected{t: p.t}
	h.until(line+" is told", func() bool {
		found := at.FindStringSubmatch(p.said())
		if found != nil {
			url = found[1]
		}
		return found != nil
	})
	return url
}

func (p *process) get(path string) (int, string) {
	res, err := http.Get(p.admin + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

func (p *process) ready() int {
	status, _ := p.get("/readyz")
	return status
}

func (p *process) metric(name string) (sum float64) {
	_, all := p.get("/metrics")
	for line := range strings.Lines(all) {
		if strings.HasPrefix(line, name+"{") || strings.HasPrefix(line, name+" ") {
			var v float64
			fields := strings.Fields(line)
			_, _ = fmt.Sscan(fields[len(fields)-1], &v)
			sum += v
		}
	}
	return sum
}

// factSink counts the facts that it is given, and what is written twice under one token once, as ClickHouse does.
type factSink struct {
	process
	mu     sync.Mutex
	tokens map[string]bool
	seen   map[string]int
	rows   int
}

func (s *factSink) Schema() uint32 { return 1 }

func (s *factSink) Write(_ context.Context, in pipeline.Intent, records []pipeline.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tokens[in.Token()] {
		return nil
	}
	s.tokens[in.Token()] = true
	for _, r := range records {
		rec, err := schemas.Decode(r.Key, r.Value)
		if err != nil {
			return err
		}
		if rec.GetFact().GetConsent() != nil {
			s.rows++
			s.seen[rec.GetAddress()]++
		}
	}
	return nil
}

func (s *factSink) read() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows
}

func (s *factSink) check(t *testing.T, p *crowd) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, address := range p.all {
		if s.seen[address] != 1 {
			t.Errorf("%s was taken and has %d facts", address, s.seen[address])
		}
	}
	for address, n := range s.seen {
		if n != 1 { // one that was answered 503 may be there
			t.Errorf("%s has %d facts", address, n)
		}
	}
	t.Logf("%d people were taken, each is there once", len(p.all))
}

// countsFacts runs analytics with a sink that counts.
func (h *inspected) countsFacts(brokers []string) *factSink {
	h.t.Helper()
	s := &factSink{process: process{t: h.t}, tokens: map[string]bool{}, seen: map[string]int{}}
	store, err := state.OpenStore(state.StoreConfig{Dir: h.t.TempDir()})
	if err != nil {
		h.t.Fatal(err)
	}
	runner, err := kafka.NewSink(kafka.SinkConfig{Name: schemas.StageAnalytics, Sink: s, BatchEvery: 200 * time.Millisecond, Config: kafka.Config{
		Connection: kafka.Connection{Brokers: brokers[:1]}, Store: store, Instance: "one", SessionTimeout: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(&s.process, nil)),
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	h.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
		if err := store.Close(); err != nil {
			h.t.Error(err)
		}
	})
	return s
}
