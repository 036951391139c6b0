package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/handoff-dev/handoff/connectors/gateway"
	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
)

func hello(id string) string { return events(carried{ID: id, From: customer, Text: "hello there"}) }

func TestKafkaFails(t *testing.T) {
	clock := &movingClock{at: noon}
	w := start(t, func(c *gateway.Config) { c.Now = clock.now })
	w.publisher.failWith(func(string) error { return errors.New("no leader") })
	for i := range 5 {
		got := w.post(channelPath, hello(fmt.Sprint(i)))
		if got.status != http.StatusServiceUnavailable || got.field("error") != "unacknowledged" || got.header.Get("Retry-After") == "" {
			t.Errorf("%+v", got)
		}
		if strings.Contains(got.body, "no leader") {
			t.Error("the caller is told what is wrong inside")
		}
	}
	if w.hook.answered.Load() != 0 {
		t.Error("a success answer without Kafka's acknowledgement")
	}
	if n := strings.Count(w.log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings for one outage:\n%s", n, w.log)
	}
	if got := w.send(http.MethodGet, "/readyz", nil); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "Kafka") {
		t.Errorf("readyz: %+v", got)
	}
	clock.advance(time.Minute)
	if got := w.send(http.MethodGet, "/readyz", nil); got.status != http.StatusOK {
		t.Errorf("readyz stays down without traffic that could prove otherwise: %+v", got)
	}

	w.post(channelPath, "[]") // posts nothing, so says nothing of Kafka
	if strings.Contains(w.log.String(), "acknowledges again") {
		t.Error("an empty request was taken as proof that Kafka is back")
	}
	w.publisher.failWith(nil)
	if got := w.post(channelPath, hello("5")); got.status != http.StatusAccepted {
		t.Errorf("after the outage: %+v", got)
	}
	if got := w.send(http.MethodGet, "/readyz", nil); got.status != http.StatusOK {
		t.Errorf("readyz: %+v", got)
	}
	if !strings.Contains(w.log.String(), `"Kafka acknowledges again" requests_answered_503=5`) {
		t.Errorf("the end of the outage is not in the log:\n%s", w.log)
	}
	checkSecrecy(t, w, "hello there")
}

// TestWhatKafkaLacks: what keeps Kafka from taking records is told before the first request and when one fails, once
// each, and until it is there.
func TestWhatKafkaLacks(t *testing.T) {
	var lacks atomic.Pointer[error]
	say := func(err error) { lacks.Store(&err) }
	say(errors.New("not allowed: Write on topic handoff.classify"))
	w := start(t, func(c *gateway.Config) {
		c.WhyNotWritten = func(context.Context) error { return *lacks.Load() }
	})
	ready := func(status int, says string) func() bool {
		return func() bool {
			got := w.send(http.MethodGet, "/readyz", nil)
			return got.status == status && strings.Contains(got.body, says)
		}
	}
	eventually(t, "it is not ready before any request", ready(http.StatusServiceUnavailable, "Write on topic handoff.classify"))
	say(nil)
	eventually(t, "it is ready by itself", ready(http.StatusOK, "true"))
	if got := w.post(channelPath, hello("1")); got.status != http.StatusAccepted {
		t.Errorf("%+v", got)
	}
	say(errors.New("too few replicas in sync"))
	w.publisher.failWith(func(string) error { return context.DeadlineExceeded })
	if got := w.post(channelPath, hello("2")); got.status != http.StatusServiceUnavailable || strings.Contains(got.body, "replicas") {
		t.Errorf("%+v", got)
	}
	eventually(t, "a request that failed has it asked again", ready(http.StatusServiceUnavailable, "too few replicas in sync"))
	for _, said := range []string{"Write on topic", "what Kafka lacked is there", "too few replicas in sync"} {
		if n := strings.Count(w.log.String(), said); n != 1 {
			t.Errorf("%q is in the log %d times:\n%s", said, n, w.log)
		}
	}
}

// TestHalfPosted: one of two topics fails, so the provider must send the whole again.
func TestHalfPosted(t *testing.T) {
	w := start(t, nil)
	w.publisher.failWith(func(topic string) error {
		if topic == schemas.TopicDeliver {
			return errors.New("no leader")
		}
		return nil
	})
	both := events(carried{ID: "1", From: customer, Text: "hi"}, carried{ID: "2", From: customer, State: "delivered"})
	if got := w.post(channelPath, both); got.status != http.StatusServiceUnavailable {
		t.Errorf("%+v", got)
	}
	w.publisher.failWith(nil)
	if got := w.post(channelPath, both); got.status != http.StatusAccepted {
		t.Errorf("%+v", got)
	}
	seen := map[string]int{}
	for _, r := range w.publisher.records(t) {
		seen[schemas.HexID(r.GetId())]++
	}
	if len(seen) != 2 {
		t.Errorf("%d different records, want 2: the repetition must have the same ids", len(seen))
	}
}

func TestKafkaSilent(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		t.Run(fmt.Sprintf("publisher obeys its context %v", obeys), func(t *testing.T) {
			w := start(t, func(c *gateway.Config) { c.AckTimeout = 30 * time.Millisecond })
			w.publisher.hang(obeys)
			for path, body := range map[string]string{channelPath: hello("1"), "/shops/acme/consent/decisions": `{"address":"+14155550001","decision":"keep","by":"Ann"}`} {
				began := time.Now()
				got := w.post(path, body, "Authorization", operator)
				if got.status != http.StatusServiceUnavailable || got.field("error") != "unacknowledged" {
					t.Errorf("%s: %+v", path, got)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("%s: answered after %s", path, took)
				}
			}
			if w.hook.answered.Load() != 0 {
				t.Error("a success answer without Kafka's acknowledgement")
			}
			if held := w.pending() > 0; held == obeys {
				t.Errorf("%v bytes pending; what the publisher still holds counts, and nothing else", w.pending())
			}
			w.publisher.release()
			eventually(t, "the buffer is empty", func() bool { return w.pending() == 0 })
		})
	}
}

func TestBufferIsBounded(t *testing.T) {
	w := start(t, func(c *gateway.Config) { c.MaxBody, c.MaxPending = 1<<10, 3*(9<<10) })
	w.publisher.hang(false)
	body := hello("x")
	var wg sync.WaitGroup
	statuses := make(chan int, 3)
	for i := range 3 {
		wg.Go(func() { statuses <- w.post(channelPath, hello(fmt.Sprint(i))).status })
	}
	eventually(t, "three requests wait", func() bool { return w.publisher.entered.Load() == 3 })
	got := w.post(channelPath, body)
	if got.status != http.StatusServiceUnavailable || got.field("error") != "busy" || got.header.Get("Retry-After") == "" {
		t.Errorf("the fourth is answered %+v", got)
	}
	if w.publisher.entered.Load() != 3 {
		t.Error("the fourth reached the publisher")
	}
	w.publisher.release()
	wg.Wait()
	close(statuses)
	for s := range statuses {
		if s != http.StatusAccepted {
			t.Errorf("a waiting request is answered %d once Kafka acknowledged", s)
		}
	}
	if got := w.post(channelPath, body); got.status != http.StatusAccepted {
		t.Errorf("once there is room: %+v", got)
	}
	if w.pending() != 0 {
		t.Errorf("%v bytes pending", w.pending())
	}
}

// TestManyAtOnce: whatever fails meanwhile, each success answer stands for records that Kafka has.
func TestManyAtOnce(t *testing.T) {
	w := start(t, func(c *gateway.Config) { c.ShopRate, c.ShopBurst = 1e6, 1e6 })
	var mu sync.Mutex
	n := 0
	w.publisher.failWith(func(string) error {
		mu.Lock()
		defer mu.Unlock()
		if n++; n%3 == 0 {
			return errors.New("no leader")
		}
		return nil
	})
	const writers, each = 20, 20
	var accepted, refused sync.Map
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				id := fmt.Sprintf("%d-%d", i, j)
				switch got := w.post(channelPath, hello(id)); got.status {
				case http.StatusAccepted:
					accepted.Store(id, true)
				case http.StatusServiceUnavailable:
					refused.Store(id, true)
				default:
					t.Errorf("%+v", got)
				}
			}
		})
	}
	wg.Wait()
	posted := map[string]int{}
	for _, r := range w.publisher.records(t) {
		posted[r.GetCustomerMessage().GetNativeId()]++
	}
	count := func(m *sync.Map, want int) int {
		k := 0
		m.Range(func(id, _ any) bool {
			if k++; posted[id.(string)] != want {
				t.Errorf("%v is posted %d times, want %d", id, posted[id.(string)], want)
			}
			return true
		})
		return k
	}
	a, r := count(&accepted, 1), count(&refused, 0)
	if a+r != writers*each || r == 0 || w.counted("pigeon", "accepted") != float64(a) || w.counted("pigeon", "unacknowledged") != float64(r) {
		t.Errorf("%d accepted and %d refused of %d; counted %v and %v", a, r, writers*each, w.counted("pigeon", "accepted"), w.counted("pigeon", "unacknowledged"))
	}
	if w.pending() != 0 {
		t.Errorf("%v bytes pending", w.pending())
	}
}

// TestGracefulEnd: a request that is being served when the gateway is told to end gets its answer.
func TestGracefulEnd(t *testing.T) {
	w := start(t, nil)
	w.publisher.hang(false)
	answered := make(chan int, 1)
	go func() { answered <- w.post(channelPath, hello("1")).status }()
	eventually(t, "the request waits for Kafka", func() bool { return w.publisher.entered.Load() == 1 })
	w.cancel()
	eventually(t, "nothing new is taken", func() bool {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, w.url+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err == nil {
			res.Body.Close()
		}
		return err != nil
	})
	w.publisher.release()
	if s := <-answered; s != http.StatusAccepted {
		t.Errorf("answered %d", s)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

// TestHardEnd: a publisher that never lets go cannot keep the gateway from ending.
func TestHardEnd(t *testing.T) {
	w := start(t, func(c *gateway.Config) { c.Drain, c.AckTimeout = 50*time.Millisecond, 10*time.Second })
	w.publisher.hang(false)
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, w.url+channelPath, strings.NewReader(hello("1")))
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Pigeon-Signature", secretValue)
		if res, err := http.DefaultClient.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode < 500 {
				t.Errorf("answered %d without Kafka's acknowledgement", res.StatusCode)
			}
		}
	}()
	eventually(t, "the request waits for Kafka", func() bool { return w.publisher.entered.Load() == 1 })
	began := time.Now()
	if err := w.stop(); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Run ended with %v, want that requests were cut off", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ended after %s", took)
	}
	w.publisher.release()
	<-failed
}

// TestThroughWatermill: any Watermill publisher will do.
func TestThroughWatermill(t *testing.T) {
	channel := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, watermill.NopLogger{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	messages, err := channel.Subscribe(ctx, schemas.TopicClassify)
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, func(c *gateway.Config) { c.Publisher = channel })
	answered := make(chan int, 1)
	go func() { answered <- w.post(channelPath, hello("1")).status }()
	m := <-messages
	if _, err := schemas.Decode([]byte(m.Metadata.Get("key")), m.Payload); err != nil {
		t.Error(err)
	}
	select {
	case s := <-answered:
		t.Errorf("answered %d before the acknowledgement", s)
	default:
	}
	m.Ack()
	if s := <-answered; s != http.StatusAccepted {
		t.Errorf("answered %d", s)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	if err := channel.Close(); err != nil {
		t.Error(err)
	}
}

// movingClock is a clock that a test moves.
type movingClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *movingClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *movingClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

var _ ingress.Webhook = (*pigeon)(nil)
