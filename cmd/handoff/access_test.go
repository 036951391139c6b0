package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/access"
	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/kafka/kafkatest"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// guarded is a cluster on which every command has a user of its own, who is allowed what `handoff acls` says of it.
type guarded struct {
	*inspected
	broker string // at which users authenticate
	admin  *kadm.Client
	roles  []access.Role
}

// nobody is allowed nothing.
const nobody = "nobody"

func (g *guarded) user(command string) string { return strings.ReplaceAll(command, " ", "-") }

// role of a command.
func (g *guarded) role(command string) access.Role {
	g.t.Helper()
	roles := access.Select(g.roles, command)
	if len(roles) != 1 {
		g.t.Fatalf("%d roles of %q", len(roles), command)
	}
	return roles[0]
}

// as is the cluster as a command's user sees it.
func (g *guarded) as(command string) *inspected {
	set := slices.Clone(g.set)
	set[0] = "kafka.brokers=" + g.broker
	return &inspected{t: g.t, set: append(set, "kafka.sasl.mechanism=PLAIN", "kafka.sasl.user="+g.user(command), "kafka.sasl.password=env:HANDOFF_TEST_PASSWORD")}
}

// grant allows a user something; deny takes it back. Both return once the broker knows it.
func (g *guarded) grant(user string, grant access.Grant, operations ...access.Operation) {
	g.t.Helper()
	all, err := g.admin.CreateACLs(g.t.Context(), acl(user, grant, operations))
	for _, a := range all {
		if a.Err != nil {
			err = a.Err
		}
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

func (g *guarded) deny(user string, grant access.Grant, operation access.Operation) {
	g.t.Helper()
	all, err := g.admin.DeleteACLs(g.t.Context(), acl(user, grant, []access.Operation{operation}))
	if err != nil || len(all) != 1 || len(all[0].Deleted) != 1 {
		g.t.Fatalf("deny %s %s on %s: %v %v", user, operation, grant.Name, all, err)
	}
}

func acl(user string, grant access.Grant, operations []access.Operation) *kadm.ACLBuilder {
	b := kadm.NewACLs().Allow("User:" + user).AllowHosts("*").ResourcePatternType(kadm.ACLPatternLiteral)
	if grant.Prefix {
		b.ResourcePatternType(kadm.ACLPatternPrefixed)
	}
	switch grant.Kind {
	case access.Topic:
		b.Topics(grant.Name)
	case access.Group:
		b.Groups(grant.Name)
	case access.TransactionalID:
		b.TransactionalIDs(grant.Name)
	}
	var all []kadm.ACLOperation
	for _, o := range operations {
		all = append(all, map[access.Operation]kadm.ACLOperation{access.Read: kmsg.ACLOperationRead, access.Write: kmsg.ACLOperationWrite,
			access.Create: kmsg.ACLOperationCreate, access.Describe: kmsg.ACLOperationDescribe, access.DescribeConfigs: kmsg.ACLOperationDescribeConfigs}[o])
	}
	return b.Operations(all...)
}

// TestRealKafkaAccess: with exactly what `handoff acls` lists, each to a user of its own, everything works, and every
// line of a stage's is needed: without it the stage says what is refused, and goes on where it is once it is allowed.
func TestRealKafkaAccess(t *testing.T) {
	t.Setenv("HANDOFF_TEST_PASSWORD", "secret")
	set := []string{"kafka.brokers=", "kafka.partitions=2", "kafka.replication=1", "kafka.session_timeout=6s", "instance=one",
		"state_dir=" + filepath.Join(t.TempDir(), "state"), "http.admin=127.0.0.1:0", "http.listen=127.0.0.1:0", "log.level=warn"}
	a, err := (&session{ctx: t.Context(), set: append(slices.Clone(set), "kafka.brokers=127.0.0.1:1")}).app()
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{inspected: &inspected{t: t, set: set}}
	if g.roles, err = a.Access(); err != nil {
		t.Fatal(err)
	}
	users := map[string]string{nobody: "secret"}
	for _, r := range g.roles {
		for _, command := range r.Commands {
			users[g.user(command)] = "secret"
		}
	}
	// A node that a busy machine lets wait is not to be missed.
	cluster := kafkatest.ForTest(t, kafkatest.Config{Users: users, Settings: map[string]string{"broker.session.timeout.ms": "60000"}})
	set[0], g.broker = "kafka.brokers="+cluster.Brokers()[0], cluster.SASLBrokers()[0]
	g.admin = kadm.NewClient(g.client())
	for _, r := range g.roles {
		for _, command := range r.Commands {
			for _, grant := range r.Grants {
				g.grant(g.user(command), grant, grant.Operations...)
			}
		}
	}
	shop := filepath.Join(t.TempDir(), "acme.yaml")
	if err := os.WriteFile(shop, []byte(acmeSettings), 0o600); err != nil {
		t.Fatal(err)
	}
	g.works("topics apply")
	g.works("settings apply", "-f", shop)
	t.Run("stages", g.stagesWork)
	t.Run("commands", func(t *testing.T) { g.commandsWork(t, shop) })
	t.Run("refused", g.refusals)
	t.Run("gateway", g.gatewayRefused)
}

// gatewayRefused: a gateway that may not write to a mailbox says so before the first request, is not ready, and answers
// 503 until it may. What it then takes is there.
func (g *guarded) gatewayRefused(t *testing.T) {
	t.Setenv("HANDOFF_TEST_TOKEN", "secret")
	out := access.Grant{Kind: access.Topic, Name: schemas.TopicConsent}
	g.deny(g.user("gateway"), out, access.Write)
	h := g.as("gateway")
	h.t, h.set = t, append(h.set, "log.level=info", "http.operator_token=env:HANDOFF_TEST_TOKEN")
	p := h.starts("gateway")
	comer := &crowd{url: p.listens("gateway")}
	h.until("it is not ready", func() bool { return p.ready() == http.StatusServiceUnavailable })
	for _, words := range []string{"Write on topic " + schemas.TopicConsent, "TOPIC_AUTHORIZATION_FAILED", "handoff acls gateway"} {
		h.until("it says "+words, func() bool { return strings.Contains(p.said(), words) })
	}
	if status := comer.sent(t, "+14155559999"); status != http.StatusServiceUnavailable {
		t.Errorf("answered %d", status)
	}
	g.grant(g.user("gateway"), out, access.Write)
	h.until("it takes it", func() bool { return comer.sent(t, "+14155559999") == http.StatusAccepted })
	h.until("it is ready", func() bool { return p.ready() == http.StatusOK })
}

const acmeSettings = "shop: acme\nname: Acme\nsupport_contact: help@acme.example\naccounts:\n- {channel: sms, account: \"+15557770000\", provider: twilio, user: AC1, secret: \"env:TOKEN\"}\n"

// works runs a command as its user.
func (g *guarded) works(command string, args ...string) {
	g.t.Helper()
	if out, problems, code := g.as(command).at(append(strings.Fields(command), args...)...); code != 0 {
		g.t.Errorf("%s %v as %s: %d %s%s", command, args, g.user(command), code, out, problems)
	}
}

// runAs runs a stage, or the gateway, as its user.
func (g *guarded) runAs(ctx context.Context, ended chan<- error, command string) {
	g.t.Helper()
	set := append(g.as(command).set, "state_dir="+filepath.Join(g.t.TempDir(), "state"))
	a, err := (&session{ctx: ctx, set: set}).app()
	if err != nil {
		g.t.Fatal(err)
	}
	go func() {
		if stage, ok := strings.CutPrefix(command, "run "); ok {
			ended <- a.RunStages(ctx, []string{stage})
		} else {
			ended <- a.RunGateway(ctx)
		}
	}()
}

// stagesWork: a STOP goes the whole way, and the gateway's user may post it.
func (g *guarded) stagesWork(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	deciding := []string{"run classify", "run consent", "run escalate", "run deliver", "gateway"}
	ended := make(chan error, len(deciding)+1)
	for _, command := range deciding {
		g.runAs(ctx, ended, command)
	}
	g.runSink(ctx, ended)
	user, err := kafka.Connection{Brokers: []string{g.broker}, Options: []kgo.Opt{login("gateway")}}.NewClient("test", kgo.RecordPartitioner(kafka.ByKey()))
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	send(t, user, "STOP", 1, time.Now())
	g.until("all is read by all", func() bool {
		out, _, code := g.as("lag").at("lag", "--fail-above", "0")
		return code == 0 && strings.Count(out, "Stable") == 5 && len(g.gates()) > 0
	})
	stop()
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func login(user string) kgo.Opt {
	return kgo.SASL(plain.Auth{User: user, Pass: "secret"}.AsMechanism())
}

// runSink runs analytics with a sink that keeps nothing: what it needs of Kafka is the same.
func (g *guarded) runSink(ctx context.Context, ended chan<- error) {
	store, err := state.OpenStore(state.StoreConfig{Dir: g.t.TempDir()})
	if err != nil {
		g.t.Fatal(err)
	}
	sink, err := kafka.NewSink(kafka.SinkConfig{Name: schemas.StageAnalytics, Sink: nowhere{}, Config: kafka.Config{
		Connection: kafka.Connection{Brokers: []string{g.broker}, Options: []kgo.Opt{login("run-analytics")}},
		Store:      store, Instance: "one", SessionTimeout: 6 * time.Second, Logger: slog.New(slog.DiscardHandler),
	}})
	if err != nil {
		g.t.Fatal(err)
	}
	go func() {
		err := sink.Run(ctx)
		if closed := store.Close(); err == nil {
			err = closed
		}
		ended <- err
	}()
}

type nowhere struct{}

func (nowhere) Write(context.Context, pipeline.Intent, []pipeline.Record) error { return nil }
func (nowhere) Schema() uint32                                                  { return 1 }

// commandsWork: each as its own user, after the stages have ended.
func (g *guarded) commandsWork(t *testing.T, shop string) {
	address := strings.TrimPrefix(person, "acme|")
	rows := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(rows, []byte("address,channel,status,time,source\n+14155550002,sms,subscribed,2026-01-02T03:04:05Z,platform\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.works("settings diff", shop)
	g.works("state get", "consent", person)
	g.works("explain", "acme", address)
	g.works("consent show", "acme", address)
	g.works("consent possible", "acme")
	g.works("consent import", "--shop", "acme", rows)
	g.works("consent link", "acme", address, "+14155550002")
	g.works("consent sweep", "acme")
	bad := &kgo.Record{Topic: schemas.TopicConsent, Key: []byte(person), Value: []byte("no record")}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	g.runAs(ctx, ended, "run consent")
	if err := g.client().ProduceSync(ctx, bad).FirstErr(); err != nil {
		t.Fatal(err)
	}
	g.until("a dead letter", func() bool { return len(g.list()) == 1 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	g.works("dlq list")
	g.works("dlq show", g.list()[0].Place)
	g.works("dlq replay", g.list()[0].Place)
	for _, stage := range []string{"consent", "deliver"} {
		g.until("no member of "+stage, func() bool {
			out, _, _ := g.as("lag").at("lag", stage)
			return strings.Contains(out, "Empty")
		})
	}
	g.works("reset consent", "--yes", "--emit", "--allow-failures", "2")
	g.works("reset deliver", "--yes", "--keep-state")
}

// refusals: who may do nothing is told so by every command, and a stage without any one of its grants says which.
func (g *guarded) refusals(t *testing.T) {
	for _, command := range [][]string{{"lag"}, {"state", "get", "consent", person}, {"consent", "show", "acme", "+14155550001"}, {"explain", "acme", "+14155550001"},
		{"dlq", "list"}, {"dlq", "replay", "0/0"}, {"reset", "consent"}, {"topics", "apply"}, {"run", "consent"}, {"gateway"}} {
		if out, problems, code := g.as(nobody).at(command...); code != 1 || !strings.Contains(problems, "AUTHORIZATION_FAILED") || !strings.Contains(problems, "handoff acls") {
			t.Errorf("%v: %d %s%s", command, code, out, problems)
		}
	}
	const command = "run consent"
	user := g.user(command)
	for _, grant := range g.role(command).Grants {
		for _, operation := range grant.Operations {
			if operation == access.DescribeConfigs {
				continue // it does without
			}
			g.deny(user, grant, operation)
			name := strings.TrimSuffix(grant.Name, "-")
			g.says(g.as(command), []string{"run", "consent"}, name, "AUTHORIZATION_FAILED", "handoff acls")
			g.grant(user, grant, operation)
		}
	}
	// What came meanwhile is not lost: a process that was refused goes on by itself.
	out := access.Grant{Kind: access.Topic, Name: schemas.TopicDeliver}
	g.deny(user, out, access.Write)
	send(t, g.client(), "START", 7, time.Now())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	g.runAs(ctx, ended, "run classify")
	g.runAs(ctx, ended, command)
	g.until("the message waits for consent", func() bool {
		_, _, code := g.as("lag").at("lag", "consent", "--fail-above", "0")
		return code == exitBehind
	})
	told := len(g.gates())
	g.grant(user, out, access.Write)
	g.until("consent goes on", func() bool {
		all := g.gates()
		return len(all) > told && strings.HasSuffix(all[len(all)-1], "SUBSCRIBED")
	})
	stop()
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// says runs a command in a process of its own until a line of its log holds all of the words, and ends it.
func (g *guarded) says(h *inspected, command []string, words ...string) {
	g.t.Helper()
	self, err := os.Executable()
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, append(command, h.flags()...)...)
	cmd.Env = append(os.Environ(), commandEnv+"=1")
	problems, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		g.t.Fatal(err)
	}
	var said strings.Builder
	found := false
	for lines := bufio.NewScanner(io.TeeReader(problems, &said)); !found && lines.Scan(); {
		found = !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(said.String(), word) })
	}
	cancel()
	_ = cmd.Wait() // it was killed
	if !found {
		g.t.Errorf("%v does not say %q:\n%s", command, words, said.String())
	}
}
