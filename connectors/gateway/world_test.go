package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/connectors/gateway"
	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	shopNumber  = "+15557770000"
	otherNumber = "+15557770001"
	lockedLine  = "+15557770002" // another secret
	customer    = "+14155550001"
	secretValue = "pigeon-secret-value"
	token       = "operator-token-value"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 123_456_789, time.UTC)

// world is a running gateway and what is around it.
type world struct {
	t         testing.TB
	url       string
	hook      *pigeon
	publisher *publisher
	registry  *prometheus.Registry
	log       *lockedBuffer
	loaded    atomic.Bool
	cancel    context.CancelFunc
	ended     chan error
}

// start runs a gateway until the test ends.
func start(t testing.TB, change func(*gateway.Config)) *world {
	t.Helper()
	w := &world{
		t: t, hook: &pigeon{}, publisher: newPublisher(), registry: prometheus.NewRegistry(),
		log: &lockedBuffer{}, ended: make(chan error, 1),
	}
	w.loaded.Store(true)
	cfg := gateway.Config{
		Channels:       map[string]ingress.Webhook{"pigeon": w.hook},
		Desks:          map[string]ingress.Webhook{"loft": w.hook, "barn": w.hook},
		Settings:       shops{},
		SettingsLoaded: w.loaded.Load,
		Secret:         resolve,
		OperatorToken:  token,
		Publisher:      w.publisher,
		Message:        newMessage,
		AckTimeout:     5 * time.Second,
		Drain:          20 * time.Second,
		Now:            func() time.Time { return noon },
		Log:            slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Registerer:     w.registry,
	}
	if change != nil {
		change(&cfg)
	}
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go func() { w.ended <- g.Run(ctx, ln) }()
	t.Cleanup(func() {
		w.publisher.release()
		if err := w.stop(); err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	return w
}

// stop ends the gateway and returns what Run did. Later calls return nil.
func (w *world) stop() error {
	if w.cancel == nil {
		return nil
	}
	w.cancel()
	w.cancel = nil
	select {
	case err := <-w.ended:
		http.DefaultClient.CloseIdleConnections()
		return err
	case <-time.After(20 * time.Second):
		return errors.New("the gateway does not end")
	}
}

// answer is a response, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// field returns a field of a JSON answer.
func (a answer) field(name string) string {
	var fields map[string]any
	if err := json.Unmarshal([]byte(a.body), &fields); err != nil {
		return "not JSON: " + a.body
	}
	v, ok := fields[name]
	if !ok {
		return ""
	}
	return fmt.Sprint(v)
}

// post sends a signed webhook.
func (w *world) post(path, body string, header ...string) answer {
	w.t.Helper()
	return w.send(http.MethodPost, path, strings.NewReader(body), append([]string{"Pigeon-Signature", secretValue}, header...)...)
}

// send sends any request; header holds names and values, and an empty value removes one.
func (w *world) send(method, path string, body io.Reader, header ...string) answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, w.url+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if req.Header.Del(header[i]); header[i+1] != "" {
			req.Header.Set(header[i], header[i+1])
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Error(err)
		return answer{}
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Error(err)
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(raw)}
}

// counted returns how many requests ended so.
func (w *world) counted(provider, outcome string) float64 {
	m := w.metric("handoff_gateway_requests_total", map[string]string{"provider": provider, "outcome": outcome})
	return m.GetCounter().GetValue()
}

// pending returns the gauge of bytes that wait for Kafka.
func (w *world) pending() float64 {
	return w.metric("handoff_gateway_pending_bytes", nil).GetGauge().GetValue()
}

// metric returns the metric of that name with those labels, or nil.
func (w *world) metric(name string, labels map[string]string) *dto.Metric {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			same := f.GetName() == name
			for _, l := range m.GetLabel() {
				same = same && labels[l.GetName()] == l.GetValue()
			}
			if same {
				return m
			}
		}
	}
	return nil
}

// eventually polls an observable condition, bounded.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// pigeon is a provider: it signs with the bare secret and writes JSON events.
type pigeon struct {
	decoded  atomic.Int64
	answered atomic.Int64
	urls     sync.Map
}

// carried is one event of a pigeon.
type carried struct {
	ID       string `json:"id"`
	From     string `json:"from"`
	To       string `json:"to,omitempty"`
	Text     string `json:"text,omitempty"`
	At       int64  `json:"at,omitempty"`
	State    string `json:"state,omitempty"`
	Ticket   string `json:"ticket,omitempty"`
	External string `json:"external,omitempty"`
	Other    bool   `json:"other,omitempty"`
	Campaign bool   `json:"campaign,omitempty"`
}

func (p *pigeon) Verify(req *ingress.Request) error {
	p.urls.Store(req.URL, true)
	switch sig := req.Header.Get("Pigeon-Signature"); {
	case sig == "panic":
		panic("a pigeon that cannot verify")
	case sig == "":
		return ingress.ErrUnsigned
	case req.Secret == "" || sig != req.Secret:
		return fmt.Errorf("pigeon: %w", ingress.ErrForged)
	}
	return nil
}

func (p *pigeon) Decode(req *ingress.Request) ([]ingress.Event, error) {
	p.decoded.Add(1)
	switch string(req.Body) {
	case "panic":
		panic("a pigeon that cannot read")
	case "obscure":
		return nil, errors.New("a reason that names no place")
	case "not UTF-8":
		return []ingress.Event{carried{ID: "1", From: customer, Text: "\xff"}.event()}, nil
	case "nil record":
		return []ingress.Event{{NativeID: "1"}}, nil
	}
	var all []carried
	if err := json.Unmarshal(req.Body, &all); err != nil {
		return nil, &ingress.Malformed{Place: "body", Reason: "not a list of events"}
	}
	var events []ingress.Event
	for _, c := range all {
		events = append(events, c.event())
	}
	return events, nil
}

func (c carried) event() ingress.Event {
	r := &handoffv1.Record{Address: c.From, Account: c.To}
	if c.At != 0 {
		r.EventTime = timestamppb.New(time.Unix(c.At, 0))
	}
	switch {
	case c.State != "":
		r.Body = &handoffv1.Record_DeliveryState{DeliveryState: &handoffv1.DeliveryState{ProviderId: c.ID, Status: handoffv1.DeliveryStatus_DELIVERY_STATUS_DELIVERED}}
	case c.Ticket != "":
		r.Body = &handoffv1.Record_TicketChanged{TicketChanged: &handoffv1.TicketChanged{TicketId: c.Ticket}}
	case c.Campaign:
		r.Channel = handoffv1.Channel_CHANNEL_SMS
		r.Body = &handoffv1.Record_PlatformSend{PlatformSend: &handoffv1.PlatformSend{Text: c.Text}}
	case c.Other:
		r.Body = &handoffv1.Record_Hold{Hold: &handoffv1.Hold{}}
	default:
		r.Body = &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: c.Text}}
	}
	return ingress.Event{NativeID: c.ID, ExternalID: c.External, Record: r}
}

func (p *pigeon) Answer(w http.ResponseWriter) {
	p.answered.Add(1)
	w.Header().Set("Content-Type", "text/x-coo")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, "coo")
}

// events is the body of a webhook.
func events(all ...carried) string {
	b, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// shops is a settings table with one shop.
type shops struct{}

func (shops) At(shop string, _ uint64) (*settings.Shop, error) {
	s, _, err := shops{}.Current(shop)
	return s, err
}

func (shops) Current(shop string) (*settings.Shop, uint64, error) {
	switch shop {
	case "acme":
		return &settings.Shop{
			Shop: "acme",
			Accounts: []settings.Account{
				{Channel: "sms", Account: shopNumber, Provider: "pigeon", Secret: "env:PIGEON"},
				{Channel: "sms", Account: otherNumber, Provider: "pigeon", Secret: "env:PIGEON"},
				{Channel: "sms", Account: lockedLine, Provider: "pigeon", Secret: "env:LOCKED"},
				{Channel: "sms", Account: "+15557770003", Provider: "pigeon", Secret: "env:MISSING"},
				{Channel: "sms", Account: "+15557770004", Provider: "pigeon"},
				{Channel: "line", Account: "a/b?c", Provider: "pigeon", Secret: "env:PIGEON"},
			},
			Desk:     settings.Desk{Kind: "loft", WebhookSecret: "env:PIGEON"},
			Platform: settings.Platform{Secret: "env:PIGEON"},
		}, 7, nil
	case "broken":
		return nil, 0, errors.New("the table is broken")
	}
	return nil, 0, pipeline.ErrSettingsPending
}

func resolve(ref settings.SecretRef) (string, error) {
	switch ref {
	case "env:PIGEON":
		return secretValue, nil
	case "env:LOCKED":
		return "another-secret-value", nil
	}
	return "", fmt.Errorf("%s is not set", ref)
}

func newMessage(id string, key, value []byte, at time.Time) *message.Message {
	m := message.NewMessage(id, value)
	m.Metadata.Set("key", string(key))
	m.Metadata.Set("at", at.Format(time.RFC3339Nano))
	return m
}

// published is one message that was acknowledged.
type published struct {
	topic   string
	call    int
	message *message.Message
}

// publisher is Kafka: it acknowledges, fails or hangs.
type publisher struct {
	mu      sync.Mutex
	calls   int
	all     []published
	fail    func(topic string) error
	hanging chan struct{}
	obeys   bool // a hanging publish ends with its context
	entered atomic.Int64
}

func newPublisher() *publisher { return &publisher{} }

// hang makes every publish wait for release; obeys lets it end with its context too.
func (p *publisher) hang(obeys bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hanging, p.obeys = make(chan struct{}), obeys
}

func (p *publisher) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hanging != nil {
		close(p.hanging)
		p.hanging = nil
	}
}

func (p *publisher) failWith(fail func(topic string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = fail
}

func (p *publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.Lock()
	hanging, obeys := p.hanging, p.obeys
	p.mu.Unlock()
	p.entered.Add(1)
	if hanging != nil {
		ctx := context.Background()
		if obeys {
			ctx = messages[0].Context()
		}
		select {
		case <-hanging:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		if err := p.fail(topic); err != nil {
			return err
		}
	}
	p.calls++
	for _, m := range messages {
		p.all = append(p.all, published{topic, p.calls, m})
	}
	return nil
}

func (p *publisher) Close() error { panic("the gateway does not own its publisher") }

// records returns what was acknowledged, decoded and checked as stages will.
func (p *publisher) records(t testing.TB) []*handoffv1.Record {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*handoffv1.Record
	for _, m := range p.all {
		r, err := schemas.Decode([]byte(m.message.Metadata.Get("key")), m.message.Payload)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// forget drops what was acknowledged.
func (p *publisher) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = nil
}

func (p *publisher) topics() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, m := range p.all {
		all = append(all, m.topic)
	}
	return all
}

// lockedBuffer is a log that can be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
