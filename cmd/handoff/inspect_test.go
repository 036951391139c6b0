package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/inspect"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

const person = "acme|+14155550001"

// inspected is a cluster on which classify has read a message and left one unread.
type inspected struct {
	t   *testing.T
	set []string
}

// at runs a command line on the cluster, and returns what it prints and its exit code.
func (h *inspected) at(args ...string) (out, problems string, code int) {
	h.t.Helper()
	return captured(h.t, func() int { return run(append(args, h.flags()...)) })
}

// flags that name the cluster.
func (h *inspected) flags() (flags []string) {
	for _, set := range h.set {
		flags = append(flags, "--set", set)
	}
	return flags
}

// captured returns what fn writes to the process's output and error streams.
func captured(t *testing.T, fn func() int) (out, problems string, code int) {
	t.Helper()
	files := [2]*os.File{}
	for i := range files {
		f, err := os.CreateTemp(t.TempDir(), "stream")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	wasOut, wasErr := os.Stdout, os.Stderr
	os.Stdout, os.Stderr = files[0], files[1]
	defer func() { os.Stdout, os.Stderr = wasOut, wasErr }()
	code = fn()
	read := func(f *os.File) string {
		raw, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	return read(files[0]), read(files[1]), code
}

// stageRan starts a cluster, runs classify and consent over a STOP, and ends them.
func stageRan(t *testing.T) *inspected {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return stageRanOn(t, c.ListenAddrs()[0], "kafka.unique_ids=true")
}

// stageRanOn does so on that broker, which has no topics of ours yet.
func stageRanOn(t *testing.T, broker string, more ...string) *inspected {
	t.Helper()
	h := &inspected{t: t, set: append([]string{"kafka.brokers=" + broker, "kafka.partitions=4", "kafka.replication=1",
		"state_dir=" + filepath.Join(t.TempDir(), "state"), "http.admin=127.0.0.1:0", "log.level=error"}, more...)}
	shop := filepath.Join(t.TempDir(), "acme.yaml")
	document := "shop: acme\nname: Acme\nsupport_contact: help@acme.example\naccounts:\n- {channel: sms, account: \"+15557770000\", provider: twilio, user: AC1, secret: \"env:TOKEN\"}\n"
	if err := os.WriteFile(shop, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"topics", "apply"}, {"settings", "apply", "-f", shop}} {
		if _, problems, code := h.at(args...); code != 0 {
			t.Fatalf("%v: %s", args, problems)
		}
	}
	client := h.client()
	send(t, client, "STOP", 1, time.Now())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	a, err := (&session{ctx: ctx, set: h.set}).app()
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- a.RunStages(ctx, []string{schemas.StageClassify, schemas.StageConsent}) }()
	admin := kadm.NewClient(client)
	h.until("consent commits, and classify what came back to it", func() bool {
		at, err := admin.FetchOffsets(t.Context(), schemas.TopicConsent)
		if err != nil || len(at[schemas.TopicConsent]) == 0 {
			return false
		}
		read, err := admin.FetchOffsets(t.Context(), schemas.TopicClassify)
		if err != nil {
			return false
		}
		ends, err := admin.ListEndOffsets(t.Context(), schemas.TopicClassify)
		if err != nil {
			return false
		}
		p := schemas.Partition([]byte(person), 4)
		return ends[schemas.TopicClassify][p].Offset-read[schemas.TopicClassify][p].At <= 1 // the last transaction's marker
	})
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	send(t, client, "hello", 2, time.Now().Add(-time.Hour))
	return h
}

// send posts a customer's message as the gateway would.
func send(t *testing.T, client *kgo.Client, text string, n int, at time.Time) {
	t.Helper()
	value, err := schemas.Encode(&handoffv1.Record{
		Id: schemas.EffectID([]byte("made"), "test", n), Shop: "acme", Address: "+14155550001", Channel: handoffv1.Channel_CHANNEL_SMS, Account: "+15557770000",
		Conversation: "sms:+15557770000", SettingsVersion: 1, ReceivedAt: timestamppb.New(at), EventTime: timestamppb.New(at),
		Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: text, NativeId: fmt.Sprint(n)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: schemas.TopicClassify, Key: []byte(person), Value: value, Timestamp: at}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestInspect(t *testing.T) {
	h := stageRan(t)
	t.Run("state get", h.stateGet)
	t.Run("state scan", h.stateScan)
	t.Run("lag", h.lag)
	t.Run("wrong usage", h.usage)
}

func (h *inspected) stateGet(t *testing.T) {
	out, problems, code := h.at("state", "get", "consent", person)
	if code != 0 {
		t.Fatal(problems)
	}
	for _, want := range []string{
		fmt.Sprintf("# handoff.consent.changelog/%d: transaction 1, before offset ", schemas.Partition([]byte(person), 4)),
		person + "  entry  head  (handoff.state.v1.LedgerHead)\n    {\n      \"version\": \"1\"\n    }\n",
		person + "  entry  line/00000000000000000001  (handoff.state.v1.LedgerLine)\n",
		"\"keyword\": \"STOP\"",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	out, _, code = h.at("state", "get", "consent", person, "head", "--format", "json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 2 {
		t.Fatalf("code %d:\n%s", code, out)
	}
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Errorf("no JSON: %s", l)
		}
	}
	if want := `"name":"head","type":"handoff.state.v1.LedgerHead","value":{"version":"1"}}`; !strings.HasSuffix(lines[1], want) {
		t.Errorf("%s, want %s at its end", lines[1], want)
	}
	for _, args := range [][]string{{"consent", "acme|+19999999999"}, {"consent", person, "nothing"}, {"deliver", person}} {
		if out, problems, code := h.at(append([]string{"state", "get"}, args...)...); code != exitFailed || !strings.Contains(problems, args[0]+" keeps nothing under ") || !strings.HasPrefix(out, "# ") {
			t.Errorf("%v: code %d: %s%s", args, code, out, problems)
		}
	}
}

func (h *inspected) stateScan(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // where nobody else leaves anything
	count := func(args ...string) int {
		t.Helper()
		out, problems, code := h.at(append([]string{"state", "scan", "consent", "--format", "json"}, args...)...)
		if code != 0 {
			t.Fatalf("%v: %s", args, problems)
		}
		return strings.Count(out, "\n") - strings.Count(out, `"kind":"position"`)
	}
	all := count()
	at := schemas.Partition([]byte(person), 4)
	if all < 4 || count("--key-prefix", "acme|") != all || count("--key-prefix", "bloom|") != 0 ||
		count("--kind", "entry")+count("--kind", "timer")+count("--kind", "call") != all || count("--limit", "1") != 1 || count("--limit", "0") != all ||
		count("--partition", fmt.Sprint(at)) != all || count("--partition", fmt.Sprint((at+1)%4)) != 0 {
		t.Errorf("of %d items: prefix %d and %d, kinds %d %d %d, limits %d %d", all, count("--key-prefix", "acme|"), count("--key-prefix", "bloom|"),
			count("--kind", "entry"), count("--kind", "timer"), count("--kind", "call"), count("--limit", "1"), count("--limit", "0"))
	}
	if _, problems, _ := h.at("state", "scan", "consent", "--limit", "2"); !strings.Contains(problems, "The limit of 2 is reached") {
		t.Errorf("the limit is not told: %q", problems)
	}
	if _, problems, code := h.at("state", "scan", "consent", "--partition", "9"); code != exitFailed || !strings.Contains(problems, "has 4 partitions, 0 to 3") {
		t.Errorf("a partition that is not there: %d %s", code, problems)
	}
	// As behind "| head", that has seen enough.
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reader.Close()
	defer writer.Close()
	if _, problems, code := captured(t, func() int {
		os.Stdout = writer
		return run(append([]string{"state", "scan", "consent"}, h.flags()...))
	}); code != exitUnread || problems != "" {
		t.Errorf("nobody reads it: %d %s", code, problems)
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "handoff-state-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func (h *inspected) lag(t *testing.T) {
	out, problems, code := h.at("lag")
	if code != 0 || !regexp.MustCompile(`(?m)^classify +Empty +1 +1h0m[0-9]+s +nobody runs it$`).MatchString(out) ||
		!regexp.MustCompile(`(?m)^consent +Empty +0 +- +nobody runs it$`).MatchString(out) || !strings.Contains(out, "analytics  Dead") {
		t.Errorf("code %d:\n%s%s", code, out, problems)
	}
	out, _, code = h.at("lag", "classify", "--partitions")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); code != 0 || len(lines) != 5 || !strings.HasPrefix(lines[0], "STAGE") {
		t.Errorf("code %d:\n%s", code, out)
	}
	out, _, _ = h.at("lag", "classify", "--format", "json")
	var l inspect.LagLine
	if err := json.Unmarshal([]byte(out), &l); err != nil || l.Stage != "classify" || l.Records != 1 || l.Seconds < 3600 || l.Seconds > 3700 || len(l.Partitions) != 4 {
		t.Errorf("%v: %s", err, out)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"--fail-above", "0"}, exitBehind}, {[]string{"classify", "--fail-above", "1"}, 0}, {[]string{"--fail-older", "30m"}, exitBehind},
		{[]string{"--fail-older", "2h"}, 0}, {[]string{"consent", "--fail-above", "0", "--fail-older", "0s"}, 0}, {[]string{"--watch", "--fail-above", "0"}, exitBehind},
	} {
		if out, problems, code := h.at(append([]string{"lag"}, c.args...)...); code != c.code || (code == exitBehind) != strings.Contains(problems, "classify has") || out == "" {
			t.Errorf("%v: code %d, want %d: %s", c.args, code, c.code, problems)
		}
	}
}

func (h *inspected) usage(t *testing.T) {
	for _, args := range [][]string{
		{"state", "get", "nobody", person}, {"state", "get", "all", person}, {"state", "get", "consent", "no-key"}, {"state", "scan", "consent", "--limit", "-1"},
		{"state", "scan", "consent", "--kind", "x"}, {"lag", "nobody"}, {"lag", "--every", "1ms"}, {"lag", "--fail-above", "-1"}, {"topology", "--format", "png"},
	} {
		if _, problems, code := h.at(args...); code != exitUsage || problems == "" {
			t.Errorf("%v: code %d, want %d: %s", args, code, exitUsage, problems)
		}
	}
	began := time.Now()
	for _, args := range [][]string{{"lag"}, {"state", "get", "consent", person}} {
		_, problems, code := captured(t, func() int { return run(append(args, "--set", "kafka.brokers=127.0.0.1:1")) })
		if code != exitFailed || !strings.Contains(problems, "the Kafka cluster does not answer, asked at 127.0.0.1:1") {
			t.Errorf("%v without a cluster: %d %s", args, code, problems)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("that took %s", took)
	}
}

// TestTopologyCommand prints in every format.
func TestTopologyCommand(t *testing.T) {
	for format, want := range map[string]string{"table": "FROM ", "json": "\"nodes\"", "dot": "digraph", "mermaid": "flowchart", "svg": "<svg"} {
		out, problems, code := captured(t, func() int { return run([]string{"topology", "--format", format}) })
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: code %d: %s%s", format, code, out, problems)
		}
	}
}
