package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/dev"
	"github.com/handoff-dev/handoff/connectors/gorgias"
	"github.com/handoff-dev/handoff/connectors/sms"
	"github.com/handoff-dev/handoff/connectors/twilio"
	"github.com/handoff-dev/handoff/connectors/zendesk"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Whatever comes in that is forged, malformed or addressed to nobody is refused with a reason, counted
// and not stored; a record that no stage can read is set aside and the others go on; settings that are
// wrong change nothing.
func TestBadInput(t *testing.T) {
	h := openHouse(t)
	gateway := freeAddress(t)
	h.start("stages", h.admin, "run", "all")
	h.start("gateway", gateway, "gateway")
	h.await("http://"+h.front+"/readyz", "http://"+h.admin+"/readyz")
	kafka, err := kgo.NewClient(kgo.SeedBrokers(h.kafka.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	t.Run("requests", func(t *testing.T) { h.refusesRequests(t, gateway, kafka) })
	t.Run("records", func(t *testing.T) { h.setsRecordsAside(t, kafka) })
	t.Run("settings", h.refusesSettings)
	t.Run("configuration", h.masksSecrets)
}

// badRequest is one request that must be refused.
type badRequest struct {
	name, path        string
	header            http.Header
	body              []byte
	status            int
	provider, outcome string
	place             string
}

func (h *house) refusesRequests(t *testing.T, gateway string, client *kgo.Client) {
	stored := ends(t, client)
	for _, r := range h.badRequests(t) {
		labels := []string{`outcome="` + r.outcome + `"`, `provider="` + r.provider + `"`}
		before := h.metric(t, gateway, "handoff_gateway_requests_total", labels...)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+h.front+r.path, bytes.NewReader(r.body))
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(req.Header, r.header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", r.name, err)
		}
		var answer struct{ Error, Place, Reason string }
		raw, err := io.ReadAll(resp.Body)
		check(t, err)
		check(t, resp.Body.Close())
		if err := json.Unmarshal(raw, &answer); err != nil {
			t.Errorf("%s: answered %q", r.name, raw)
		}
		if resp.StatusCode != r.status || answer.Error != r.outcome || answer.Reason == "" || answer.Place != r.place {
			t.Errorf("%s: %d %+v, want %d %s at %q", r.name, resp.StatusCode, answer, r.status, r.outcome, r.place)
		}
		if after := h.metric(t, gateway, "handoff_gateway_requests_total", labels...); after != before+1 {
			t.Errorf("%s: counted %v times under %v", r.name, after-before, labels)
		}
	}
	if now := ends(t, client); !maps.Equal(now, stored) {
		t.Errorf("refused requests left records: %v, before %v", now, stored)
	}
	// The same paths take what is in order, so it was not the paths.
	k := h.talk("acme", 100)
	if err := k.say(t.Context(), "Where is my order?"); err != nil {
		t.Fatal(err)
	}
	if maps.Equal(ends(t, client), stored) {
		t.Error("a good text left no record")
	}
}

func (h *house) badRequests(t *testing.T) []badRequest {
	secret := func(name string) string {
		s, err := dev.Secret(settings.SecretRef("env:" + name))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const acme, cobalt = "/in/twilio/acme/" + dev.AcmeNumber, "/in/sms/cobalt/" + dev.CobaltNumber
	const acmeDesk, bloomDesk = "/in/zendesk/acme", "/in/gorgias/bloom"
	byTwilio := func(path, token string, form url.Values) (http.Header, []byte) {
		return http.Header{"Content-Type": {"application/x-www-form-urlencoded"},
			twilio.SignatureHeader: {twilio.Sign(token, "http://"+h.front+path, form)}}, []byte(form.Encode())
	}
	bySMS := func(at time.Time, body string) (http.Header, []byte) {
		header := http.Header{}
		sms.Sign(header, secret("DEV_SMS_SECRET"), at, []byte(body))
		return header, []byte(body)
	}
	byZendesk := func(key, body string) (http.Header, []byte) {
		now := time.Now().UTC().Format(time.RFC3339)
		return http.Header{zendesk.TimestampHeader: {now}, zendesk.SignatureHeader: {zendesk.Sign(key, now, []byte(body))}}, []byte(body)
	}
	byGorgias := func(key, body string) (http.Header, []byte) {
		return http.Header{gorgias.SecretHeader: {key}}, []byte(body)
	}
	good := url.Values{"MessageSid": {"SMbad"}, "AccountSid": {"AC1"}, "From": {customerNumber(101)}, "To": {dev.AcmeNumber}, "Body": {"hello"}}
	nobody := url.Values{"MessageSid": {"SMbad"}, "AccountSid": {"AC1"}, "To": {dev.AcmeNumber}, "Body": {"hello"}}
	message := fmt.Sprintf(`{"messages":[{"id":"m1","from":%q,"text":"hello"}]}`, customerNumber(101))
	token, huge := secret("DEV_TWILIO_TOKEN"), strings.Repeat("x", 300<<10)
	var all []badRequest
	add := func(name, path string, header http.Header, body []byte, status int, provider, outcome, place string) {
		all = append(all, badRequest{name, path, header, body, status, provider, outcome, place})
	}
	with := func(header http.Header, body []byte) func(name, path string, status int, provider, outcome, place string) {
		return func(name, path string, status int, provider, outcome, place string) {
			add(name, path, header, body, status, provider, outcome, place)
		}
	}
	with(http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte(good.Encode()))("no signature", acme, 401, "twilio", "unsigned", "")
	with(byTwilio(acme, "not the token", good))("another's token", acme, 403, "twilio", "forged", "")
	with(byTwilio("/in/twilio/bloom/"+dev.BloomNumber, token, good))("signed for another path", acme, 403, "twilio", "forged", "")
	header, _ := byTwilio(acme, token, good)
	with(header, []byte(good.Encode()+"&Body=STOP"))("changed on its way", acme, 403, "twilio", "forged", "")
	with(nil, []byte(message))("no signature", cobalt, 401, "sms", "unsigned", "")
	with(bySMS(time.Now().Add(-time.Hour), message))("replayed after an hour", cobalt, 403, "sms", "forged", "")
	with(nil, []byte(`{}`))("no signature", acmeDesk, 401, "zendesk", "unsigned", "")
	with(byZendesk("guess", `{"detail":{"id":"1"}}`))("guessed secret", acmeDesk, 403, "zendesk", "forged", "")
	with(nil, []byte(`{}`))("no signature", bloomDesk, 401, "gorgias", "unsigned", "")
	with(byGorgias("guess", `{}`))("guessed secret", bloomDesk, 403, "gorgias", "forged", "")
	with(byTwilio(acme, token, nobody))("without a sender", acme, 400, "twilio", "malformed", "From")
	with(bySMS(time.Now(), `{"messages":[{"id":"m1","from":"+14155550123","text":"a"},{"id":"m2","text":"b"}]}`))("second one without a sender", cobalt, 400, "sms", "malformed", "messages[1].from")
	with(bySMS(time.Now(), `{"messages":`))("half a document", cobalt, 400, "sms", "malformed", "body")
	with(byZendesk(secret("DEV_DESK_WEBHOOK"), `{"detail":`))("half a document", acmeDesk, 400, "zendesk", "malformed", "body")
	with(byGorgias(secret("DEV_DESK_WEBHOOK"), `[`))("half a document", bloomDesk, 400, "gorgias", "malformed", "body")
	with(byTwilio("/in/twilio/nobody/"+dev.AcmeNumber, token, good))("unknown shop", "/in/twilio/nobody/"+dev.AcmeNumber, 404, "twilio", "unknown_shop", "")
	with(byTwilio("/in/twilio/acme/+15550000000", token, good))("unknown account", "/in/twilio/acme/+15550000000", 404, "twilio", "unknown_account", "")
	with(bySMS(time.Now(), message))("account of another provider", "/in/sms/acme/"+dev.AcmeNumber, 404, "sms", "unknown_account", "")
	with(byGorgias(secret("DEV_DESK_WEBHOOK"), `{}`))("desk of another shop", "/in/gorgias/acme", 404, "gorgias", "unknown_account", "")
	with(nil, nil)("unknown provider", "/in/pigeon/acme/1", 404, "unknown", "unknown_provider", "")
	with(nil, nil)("unknown path", "/inbox", 404, "unknown", "unknown_path", "")
	with(byTwilio(acme, token, url.Values{"Body": {huge}}))("too large", acme, 413, "twilio", "too_large", "")
	with(bySMS(time.Now(), huge))("too large", cobalt, 413, "sms", "too_large", "")
	with(byZendesk(secret("DEV_DESK_WEBHOOK"), huge))("too large", acmeDesk, 413, "zendesk", "too_large", "")
	return all
}

// ends are the ends of all mailboxes' partitions: what was ever stored.
func ends(t *testing.T, client *kgo.Client) map[string]int64 {
	t.Helper()
	offsets, err := kadm.NewClient(client).ListEndOffsets(t.Context(), schemas.TopicClassify, schemas.TopicConsent, schemas.TopicEscalate,
		schemas.TopicDeliver, schemas.TopicAnalytics, schemas.TopicDeadLetters)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	offsets.Each(func(o kadm.ListedOffset) { out[fmt.Sprintf("%s/%d", o.Topic, o.Partition)] = o.Offset })
	return out
}

// setsRecordsAside puts a record that cannot be read into every mailbox, before texts of the same and of
// other customers on its partition.
func (h *house) setsRecordsAside(t *testing.T, client *kgo.Client) {
	cases := []struct {
		stage string
		shuts bool // a lost opt-out must not let texts out
	}{{schemas.StageClassify, true}, {schemas.StageConsent, true}, {schemas.StageEscalate, false}, {schemas.StageDeliver, true}}
	bad := make([]*kgo.Record, len(cases))
	victims, others := make([]*talk, len(cases)), make([]*talk, len(cases))
	for i, c := range cases {
		victims[i] = h.talk("acme", 200+i)
		others[i] = h.neighbour(victims[i], 300+20*i)
		bad[i] = &kgo.Record{Topic: schemas.Mailbox(c.stage), Key: victims[i].key().Bytes(), Value: []byte("not a record \xff " + c.stage),
			Partition: schemas.Partition(victims[i].key().Bytes(), schemas.DemoPartitions)}
	}
	producer, err := kgo.NewClient(kgo.SeedBrokers(h.kafka.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if err := producer.ProduceSync(t.Context(), bad...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	dead := h.deadLetters(t, len(bad))
	for i, c := range cases {
		checkDeadLetter(t, c.stage, bad[i], dead[c.stage])
		if n := h.metric(t, h.admin, "handoff_dead_letters_total", `stage="`+c.stage+`"`); n != 1 {
			t.Errorf("%s counts %v dead letters", c.stage, n)
		}
	}
	// A victim texts first, then a customer whose texts come after it on the same partitions.
	for i := range cases {
		for _, k := range []*talk{victims[i], others[i]} {
			if err := k.say(t.Context(), "I want to cancel my order "+k.marker); err != nil {
				t.Fatal(err)
			}
		}
	}
	waiting := 0.0
	for i, c := range cases {
		check(t, others[i].hears(t.Context(), "connect you directly"))
		if c.shuts {
			waiting++
			continue
		}
		check(t, victims[i].hears(t.Context(), "connect you directly"))
	}
	h.poll(t, "the texts that must wait", func() bool {
		return h.metric(t, h.admin, "handoff_calls_open", `destination="twilio"`) == waiting
	})
	for i, c := range cases {
		if c.shuts && victims[i].heard("") != 0 {
			t.Errorf("%s: a text left although what may have been a STOP was lost", c.stage)
		}
	}
	h.keepsRejected(t, producer)
}

// keepsRejected: what analytics cannot read is kept beside the facts, and the facts after it arrive.
func (h *house) keepsRejected(t *testing.T, producer *kgo.Client) {
	k := h.talk("bloom", 250)
	var bad []*kgo.Record
	for p := range int32(schemas.AnalyticsPartitions) {
		bad = append(bad, &kgo.Record{Topic: schemas.TopicAnalytics, Key: k.key().Bytes(), Value: []byte("no fact"), Partition: p})
	}
	if err := producer.ProduceSync(t.Context(), bad...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	check(t, k.say(t.Context(), "Where is my order?"))
	h.poll(t, "rejected rows and the message after them", func() bool {
		return h.count(t, "rejected", "") == uint64(len(bad)) && h.count(t, "messages", "direction = 'in' AND address = '"+k.customer+"'") == 1
	})
}

// count counts rows of a table that meet a condition.
func (h *house) count(t *testing.T, table, where string) (n uint64) {
	t.Helper()
	if where != "" {
		where = " WHERE " + where
	}
	if err := h.db.Conn().QueryRow(t.Context(), "SELECT count() FROM handoff."+table+where).Scan(&n); err != nil {
		t.Fatalf("count %s: %v", table, err)
	}
	return n
}

// key of the talk's records.
func (k *talk) key() schemas.Key { return schemas.Key{Shop: k.shop.ID, Address: k.customer} }

// neighbour is a talk of the same shop on the same partition.
func (h *house) neighbour(of *talk, from int) *talk {
	for n := from; ; n++ {
		k := h.talk(of.shop.ID, n)
		if schemas.Partition(k.key().Bytes(), schemas.DemoPartitions) == schemas.Partition(of.key().Bytes(), schemas.DemoPartitions) {
			return k
		}
	}
}

// deadLetters waits for as many committed dead letters, by stage.
func (h *house) deadLetters(t *testing.T, n int) map[string]*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(h.kafka.ListenAddrs()...), kgo.ConsumeTopics(schemas.TopicDeadLetters),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out := map[string]*kgo.Record{}
	for len(out) < n {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d of %d dead letters came", len(out), n)
		}
		fetches.EachRecord(func(r *kgo.Record) { out[headerOf(r, deadletter.HeaderStage)] = r })
	}
	return out
}

func headerOf(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

func checkDeadLetter(t *testing.T, stage string, failed, dead *kgo.Record) {
	t.Helper()
	if dead == nil {
		t.Fatalf("%s made no dead letter", stage)
	}
	want := map[string]string{deadletter.HeaderTopic: failed.Topic, deadletter.HeaderPartition: strconv.Itoa(int(failed.Partition)), deadletter.HeaderOffset: strconv.FormatInt(failed.Offset, 10)}
	for name, value := range want {
		if got := headerOf(dead, name); got != value {
			t.Errorf("%s: dead letter's %s is %q, want %q", stage, name, got, value)
		}
	}
	if reason := headerOf(dead, deadletter.HeaderReason); !strings.Contains(reason, "not a handoff.v1.Record") {
		t.Errorf("%s: dead letter's reason is %q", stage, reason)
	}
	if !bytes.Equal(dead.Key, failed.Key) || !bytes.Equal(dead.Value, failed.Value) {
		t.Errorf("%s: dead letter holds %q %q", stage, dead.Key, dead.Value)
	}
}

// refusesSettings: a wrong document is refused with lines and reasons and the old one stays; a good one
// is in force without a restart.
func (h *house) refusesSettings(t *testing.T) {
	doc, err := h.outside.ShopDocument("cobalt", true)
	if err != nil {
		t.Fatal(err)
	}
	help := func(number int, contact string) {
		t.Helper()
		k := h.talk("cobalt", number)
		check(t, k.say(t.Context(), "HELP"))
		check(t, k.hears(t.Context(), "support: "+contact))
	}
	help(400, "support@cobalt.example")
	renamed := bytes.ReplaceAll(doc, []byte("support@cobalt.example"), []byte("new@cobalt.example"))
	wrong := bytes.ReplaceAll(renamed, []byte("channel: sms"), []byte("channel: pigeon"))
	wrong = append(wrong, "colour: blue\n"...)
	if out, code := h.apply(t, "wrong.yaml", wrong); code != 2 || !strings.Contains(out, fmt.Sprintf("wrong.yaml:%d:1: colour: ", bytes.Count(wrong, []byte("\n")))) {
		t.Errorf("an unknown key: exit code %d\n%s", code, out)
	}
	wrong = bytes.ReplaceAll(wrong, []byte("colour: blue\n"), nil)
	line := 1 + bytes.Count(wrong[:bytes.Index(wrong, []byte("pigeon"))], []byte("\n"))
	if out, code := h.apply(t, "wrong.yaml", wrong); code != 2 || !strings.Contains(out, fmt.Sprintf("wrong.yaml:%d:", line)) || !strings.Contains(out, "accounts[0].channel: ") {
		t.Errorf("a wrong value in line %d: exit code %d\n%s", line, code, out)
	}
	help(401, "support@cobalt.example")
	if out, code := h.apply(t, "good.yaml", renamed); code != 0 || !strings.Contains(out, "version 2") {
		t.Errorf("good settings: exit code %d\n%s", code, out)
	}
	h.poll(t, "the gateway's and the stages' new settings", func() bool {
		k := h.talk("cobalt", 402)
		said := k.heard("")
		check(t, k.say(t.Context(), "HELP"))
		h.poll(t, "an answer", func() bool { return k.heard("") > said })
		return k.heard("support: new@cobalt.example") > 0
	})
	if out, code := h.apply(t, "again.yaml", renamed); code != 0 || !strings.Contains(out, "version 2") {
		t.Errorf("the same settings again: exit code %d\n%s", code, out)
	}
}

// apply publishes a document through the binary.
func (h *house) apply(t *testing.T, name string, doc []byte) (string, int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, doc, 0o600); err != nil {
		t.Fatal(err)
	}
	return h.try(h.env, "settings", "apply", "-f", file)
}

// masksSecrets: the configuration can be shown to anyone, and a secret written into it is refused without
// being repeated.
func (h *house) masksSecrets(t *testing.T) {
	env := append([]string{"KAFKA_PASSWORD=hush-1", "HANDOFF_KAFKA__SASL__MECHANISM=PLAIN", "HANDOFF_KAFKA__SASL__USER=handoff"}, h.env...)
	out, code := h.try(append(env, "HANDOFF_KAFKA__SASL__PASSWORD=env:KAFKA_PASSWORD", "HANDOFF_CLICKHOUSE__PASSWORD=file:/secret/place"), "config", "print")
	if code != 0 || !strings.Contains(out, "user: \"handoff\"") || !strings.Contains(out, "env:****") {
		t.Errorf("config print: exit code %d\n%s", code, out)
	}
	for _, hidden := range []string{"hush-1", "KAFKA_PASSWORD", "/secret/place", dev.OperatorToken} {
		if strings.Contains(out, hidden) {
			t.Errorf("config print shows %s", hidden)
		}
	}
	out, code = h.try(append(env, "HANDOFF_KAFKA__SASL__PASSWORD=hush-2"), "config", "print")
	if code != 2 || !strings.Contains(out, "kafka.sasl.password") || strings.Contains(out, "hush-2") {
		t.Errorf("a password in the configuration: exit code %d\n%s", code, out)
	}
}
