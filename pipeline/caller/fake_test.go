package caller

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a stage's runner and gate in small: it stores calls, ends them when their result comes, and
// says what the test tells it to.
type stage struct {
	t testing.TB
	k *Caller

	mu       sync.Mutex
	stored   []pipeline.PendingCall
	results  []*handoffv1.CallResult
	started  []*handoffv1.AttemptStarted
	fails    []*handoffv1.DeskFailing
	verdict  map[string]Release // by call id; Start when missing
	asked    map[string]int
	behind   time.Duration
	noLease  bool
	keep     bool // results are not committed
	deaf     bool // attempts' starts are not committed
	postFail int
	inbox    chan *handoffv1.Record
}

func newStage(t testing.TB) *stage {
	return &stage{t: t, verdict: map[string]Release{}, asked: map[string]int{}, inbox: make(chan *handoffv1.Record, 10_000)}
}

// Release implements Gate.
func (s *stage) Release(_ pipeline.Reader, pc pipeline.PendingCall, _ time.Time) (Release, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[pc.Call.ID]++
	rel := s.verdict[pc.Call.ID]
	record := &handoffv1.Record{}
	if err := proto.Unmarshal(pc.Call.Body, record); err != nil {
		return rel, err
	}
	rel.Attempt = Attempt{CallID: pc.Call.ID, Created: pc.Call.Created, Record: record, Command: record.GetCommand(), Shop: &settings.Shop{Shop: record.GetShop()}}
	rel.Text = record.GetCommand().GetSendText() != nil
	return rel, nil
}

func (s *stage) say(id string, rel Release) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verdict[id] = rel
}

// Post implements Poster.
func (s *stage) Post(_ context.Context, topic string, key, value []byte) error {
	s.mu.Lock()
	if s.postFail > 0 {
		s.postFail--
		s.mu.Unlock()
		return fmt.Errorf("no broker")
	}
	s.mu.Unlock()
	r, err := schemas.Decode(key, value)
	if err != nil || topic != schemas.TopicDeliver {
		s.t.Errorf("posted to %s: %v", topic, err)
		return err
	}
	s.inbox <- r
	return nil
}

// run commits what is posted until stop is closed.
func (s *stage) run(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case r := <-s.inbox:
			s.commit(r)
		}
	}
}

func (s *stage) commit(r *handoffv1.Record) {
	s.mu.Lock()
	var stored, ended []pipeline.PendingCall
	if a := r.GetAttemptStarted(); a != nil {
		s.started = append(s.started, a)
		if i := s.index(a.GetCallId()); i >= 0 && !s.deaf {
			s.stored[i].Call.Attempt, s.stored[i].Call.Incarnation = a.GetAttempt(), a.GetIncarnation()
			again := s.stored[i]
			again.Known = true
			stored = append(stored, again)
		}
	}
	if f := r.GetDeskFailing(); f != nil {
		s.fails = append(s.fails, f)
	}
	if c := r.GetCallResult(); c != nil {
		s.results = append(s.results, c)
		if i := s.index(c.GetCallId()); i >= 0 && !s.keep {
			ended = append(ended, s.stored[i])
			s.stored = slices.Delete(s.stored, i, i+1)
		}
	}
	k, keep := s.k, s.keep
	s.mu.Unlock()
	if !keep {
		k.Committed(0, stored, ended)
	}
}

func (s *stage) index(id string) int {
	return slices.IndexFunc(s.stored, func(c pipeline.PendingCall) bool { return c.Call.ID == id })
}

// store commits new calls.
func (s *stage) store(calls ...pipeline.PendingCall) {
	s.mu.Lock()
	s.stored = append(s.stored, calls...)
	k := s.k
	s.mu.Unlock()
	k.Committed(0, calls, nil)
}

func (s *stage) failing() []*handoffv1.DeskFailing {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.fails)
}

func (s *stage) outcome(id string) *handoffv1.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.results {
		if r.GetCallId() == id {
			return r.GetOutcome()
		}
	}
	return nil
}

// Calls implements pipeline.Reader.
func (s *stage) Calls(_ int32, key []byte) (calls []pipeline.PendingCall, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.stored {
		if string(c.Key) == string(key) {
			calls = append(calls, c)
		}
	}
	return calls, nil
}

// ended are calls of these ids.
func ended(ids ...string) (calls []pipeline.PendingCall) {
	for _, id := range ids {
		calls = append(calls, textCall(id, "acme", "x", "a"))
	}
	return calls
}

// Get, Scan, Settings, Behind and Lease implement pipeline.Reader.
func (s *stage) Get(int32, []byte, string) ([]byte, bool, error)             { return nil, false, nil }
func (s *stage) Scan(int32, []byte, string, func(string, []byte) bool) error { return nil }
func (s *stage) Settings() pipeline.Settings                                 { return nil }
func (s *stage) Behind(int32) time.Duration                                  { s.mu.Lock(); defer s.mu.Unlock(); return s.behind }
func (s *stage) Lease(int32) bool                                            { s.mu.Lock(); defer s.mu.Unlock(); return !s.noLease }
func (s *stage) set(change func())                                           { s.mu.Lock(); defer s.mu.Unlock(); change() }

// textCall makes a call that sends a text.
func textCall(id, shop, destination, lane string) pipeline.PendingCall {
	r := &handoffv1.Record{
		Id: schemas.SourceID("test", shop, "", id), Shop: shop, Address: "+14155550001",
		Channel: handoffv1.Channel_CHANNEL_SMS, Account: "+15557770000", Conversation: "sms:+15557770000",
		ReceivedAt: timestamppb.Now(), SettingsVersion: 1,
		Body: &handoffv1.Record_Command{Command: &handoffv1.Command{Action: &handoffv1.Command_SendText{SendText: &handoffv1.SendText{Text: id}}}},
	}
	body, err := proto.Marshal(r)
	if err != nil {
		panic(err)
	}
	return pipeline.PendingCall{Key: []byte(shop + "|+14155550001"), Call: pipeline.Call{
		ID: id, Destination: destination, Lane: lane, Body: body, Created: time.Now(), GiveUpAt: time.Now().Add(24 * time.Hour),
	}}
}

// destination is an outside system that does what the test says.
type destination struct {
	retry   Retry
	keyLife time.Duration
	limit   Limit
	do      func(ctx context.Context, a Attempt, try int) error
	find    func(a Attempt) error // error of a look-up

	mu      sync.Mutex
	did     map[string]int // requests by call
	arrived map[string]int // those that took effect
	order   []string
	at      []time.Time
	lookups []time.Time
	running map[string]int // by shop
	most    int            // running at once
}

func newDestination(r Retry) *destination {
	return &destination{retry: r, did: map[string]int{}, arrived: map[string]int{}, running: map[string]int{}}
}

func (d *destination) Retry(*handoffv1.Command) Retry { return d.retry }
func (d *destination) KeyLife() time.Duration         { return d.keyLife }
func (d *destination) Limit(*settings.Shop) Limit     { return d.limit }

func (d *destination) Do(ctx context.Context, a Attempt) (*handoffv1.Outcome, error) {
	d.mu.Lock()
	d.did[a.CallID]++
	try := d.did[a.CallID]
	d.order = append(d.order, a.CallID)
	d.at = append(d.at, time.Now())
	d.running[a.Record.GetShop()]++
	d.most = max(d.most, d.running[a.Record.GetShop()])
	do := d.do
	d.mu.Unlock()
	var err error
	if do != nil {
		err = do(ctx, a, try)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running[a.Record.GetShop()]--
	if err == nil {
		d.arrived[a.CallID]++
		return &handoffv1.Outcome{ProviderId: "P" + a.CallID}, nil
	}
	if e := AsError(err); e.Kind == Ambiguous && e.Code == "arrived" {
		d.arrived[a.CallID]++
	}
	return nil, err
}

func (d *destination) Lookup(_ context.Context, a Attempt) (*handoffv1.Outcome, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lookups = append(d.lookups, time.Now())
	if d.find != nil {
		if err := d.find(a); err != nil {
			return nil, err
		}
	}
	if d.arrived[a.CallID] > 0 {
		return &handoffv1.Outcome{ProviderId: "P" + a.CallID}, nil
	}
	return nil, nil
}

func (d *destination) count(id string) (did, arrived int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.did[id], d.arrived[id]
}

// requests lists the calls that were asked for, in order.
func (d *destination) requests() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.order)
}

// lookedUp lists when look-ups were made.
func (d *destination) lookedUp() []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lookups)
}

// announced lists the starts that were committed.
func (s *stage) announced() []*handoffv1.AttemptStarted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.started)
}

func (s *stage) askedFor(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[id]
}

// begin starts a Caller over a stage with one partition of one.
func begin(t testing.TB, s *stage, change func(*Config), destinations map[string]Destination) (end func()) {
	cfg := Config{
		Gate: s, Destinations: destinations, Poster: s, Partitions: 1, Incarnation: "one",
		Log: slog.New(slog.DiscardHandler), Rand: func() float64 { return 1 },
	}
	if change != nil {
		change(&cfg)
	}
	k, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	s.mu.Lock()
	s.k = k
	inherited := slices.Clone(s.stored)
	s.mu.Unlock()
	k.Assigned(0, s, inherited)
	done := make(chan struct{})
	go func() { s.run(stop); close(done) }()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := k.Close(ctx); err != nil {
			t.Error(err)
		}
		close(stop)
		<-done
	}
}
