package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func TestApplyTopics(t *testing.T) {
	t.Parallel()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "handoff.consent"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a, err := NewAdmin(Connection{Brokers: c.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := a.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Apply(ctx, schemas.Topics(4), 1); !errors.Is(err, ErrPartitionCount) || !strings.Contains(err.Error(), "handoff.consent has 3 partitions, asked for 4") {
		t.Errorf("another count: %v", err)
	}
	if c.TopicInfo("handoff.classify") != nil {
		t.Error("a refused Apply created topics")
	}
	states, err := a.Apply(ctx, schemas.Topics(3), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if s.Created != (s.Topic != "handoff.consent") {
			t.Errorf("%s: created %v", s.Topic, s.Created)
		}
		if s.Topic == "handoff.consent" && (len(s.Differing) == 0 || s.Differing[0].Name != "max.message.bytes" && s.Differing[0].Name != "cleanup.policy") {
			t.Errorf("differing: %v", s.Differing)
		}
	}
	if got := c.TopicInfo("handoff.classify.changelog").Configs["cleanup.policy"]; got == nil || *got != "compact" {
		t.Errorf("cleanup.policy of a changelog is %v", got)
	}
	states, err = a.Apply(ctx, schemas.Topics(3), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if s.Created || s.Topic != "handoff.consent" && len(s.Differing) > 0 {
			t.Errorf("applied again: %+v", s)
		}
	}
}

func TestProducer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4, "count")
	p, err := NewProducer(ProducerConfig{Connection: Connection{Brokers: c.ListenAddrs()}, MaxRecords: 5, Timeout: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	at := time.UnixMilli(1_700_000_000_000)
	var records []pipeline.Emit
	for i := range 4 {
		records = append(records, pipeline.Emit{Topic: "out", Key: []byte("k"), Value: fmt.Append(nil, i), Time: at})
	}
	if err := p.Produce(ctx, records...); err != nil {
		t.Fatal(err)
	}
	got := c.read("out")[schemas.Partition([]byte("k"), 4)]
	for i, r := range got {
		if string(r.Value) != fmt.Sprint(i) || !r.Timestamp.Equal(at) {
			t.Errorf("record %d is %s at %s", i, r.Value, r.Timestamp)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d records on the key's partition, want 4", len(got))
	}
	if err := p.Produce(ctx, pipeline.Emit{Topic: "out", Value: make([]byte, 2<<20)}); !errors.Is(err, ErrRefused) {
		t.Errorf("a record that is too large: %v", err)
	}
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: 1})
	if err := p.Produce(ctx, records[0]); !errors.Is(err, ErrRefused) {
		t.Errorf("not allowed: %v", err)
	}
	h.Remove()
	h = c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: -1})
	results := make(chan error, 8)
	for range 8 {
		go func() { results <- p.Produce(ctx, records[0]) }()
	}
	full, late := 0, 0
	for range 8 {
		switch err := <-results; {
		case errors.Is(err, ErrBufferFull):
			full++
		case errors.Is(err, ErrUnacknowledged):
			late++
		default:
			t.Errorf("while the broker takes nothing: %v", err)
		}
	}
	if full != 3 || late != 5 {
		t.Errorf("%d found the buffer full, %d were not acknowledged; want 3 and 5", full, late)
	}
	h.Remove()
	eventually(t, "it works again", func() bool { return p.Produce(ctx, records[0]) == nil })
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
}

const shopDocument = "shop: %s\nname: %s\nsupport_contact: help@example.com\n" +
	"accounts:\n- channel: sms\n  account: \"+15550001000\"\n  provider: twilio\n  user: AC1\n  secret: env:TOKEN\n"

// settingsRecord publishes a document.
func settingsRecord(t *testing.T, key string, version uint64, document string) *kgo.Record {
	t.Helper()
	shop, _, _ := strings.Cut(key, "|")
	value, err := schemas.Encode(&handoffv1.Record{Shop: shop, Body: &handoffv1.Record_Settings{
		Settings: &handoffv1.Settings{Version: version, Document: []byte(document)}}})
	if err != nil {
		t.Fatal(err)
	}
	return &kgo.Record{Topic: schemas.TopicSettings, Key: []byte(key), Value: value}
}

func (c *cluster) settings() *Settings {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	s, err := OpenSettings(ctx, SettingsConfig{Connection: Connection{Brokers: c.ListenAddrs()}, Logger: c.config(nil, nil).Logger})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

func TestSettings(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 1)
	doc := func(name string) string { return fmt.Sprintf(shopDocument, "acme", name) }
	c.produce(settingsRecord(t, "acme|1", 1, doc("One")), settingsRecord(t, "acme|current", 1, doc("One")))
	s := c.settings()
	defer s.Close()
	current := func() string {
		shop, version, err := s.Current("acme")
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(version, shop.Name)
	}
	if got := current(); got != "1One" {
		t.Errorf("current: %s", got)
	}
	if _, err := s.At("acme", 2); !errors.Is(err, pipeline.ErrSettingsPending) {
		t.Errorf("a version to come: %v", err)
	}
	if _, _, err := s.Current("nobody"); !errors.Is(err, pipeline.ErrSettingsPending) {
		t.Errorf("an unknown shop: %v", err)
	}
	// A version is there before it is current; bad ones shadow nothing; a version never changes.
	c.produce(settingsRecord(t, "acme|2", 2, doc("Two")),
		settingsRecord(t, "acme|3", 3, "shop: acme\nnonsense: 1\n"), settingsRecord(t, "acme|current", 3, "shop: acme\nnonsense: 1\n"),
		settingsRecord(t, "acme|1", 1, doc("Changed")),
		settingsRecord(t, "other|1", 1, doc("Of acme")),
		&kgo.Record{Topic: schemas.TopicSettings, Key: []byte("acme|current"), Value: []byte("\xff")},
		settingsRecord(t, "last|current", 1, fmt.Sprintf(shopDocument, "last", "Last")))
	eventually(t, "the last one is read", func() bool { _, _, err := s.Current("last"); return err == nil })
	if got := current(); got != "1One" {
		t.Errorf("after bad ones the current is %s", got)
	}
	if shop, err := s.At("acme", 2); err != nil || shop.Name != "Two" {
		t.Errorf("version 2: %v %v", shop, err)
	}
	if _, err := s.At("other", 1); !errors.Is(err, pipeline.ErrSettingsPending) {
		t.Errorf("another shop's document was taken: %v", err)
	}
	changed := s.Changed()
	c.produce(settingsRecord(t, "acme|current", 2, doc("Two")))
	eventually(t, "the change shows", func() bool { return current() == "2Two" })
	select {
	case <-changed:
	default:
		t.Error("the change was not told")
	}
	if len(s.Shops()) != 2 {
		t.Errorf("shops: %v", s.Shops())
	}
	c.produce(&kgo.Record{Topic: schemas.TopicSettings, Key: []byte("acme|current")})
	eventually(t, "the shop is gone", func() bool { _, _, err := s.Current("acme"); return err != nil })
	if _, err := s.At("acme", 2); err != nil {
		t.Errorf("records stamped with a version still need it: %v", err)
	}
}

// keyOfEach finds a key of each of two partitions.
func keyOfEach() (keys [2][]byte) {
	for i := 0; keys[0] == nil || keys[1] == nil; i++ {
		k := fmt.Appendf(nil, "shop|%d", i)
		keys[schemas.Partition(k, 2)] = k
	}
	return keys
}

// TestManyWaitForSettings: however many records wait in one partition, the others are read, and those that waited are
// processed in order once they can be.
func TestManyWaitForSettings(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, "shops")
	table := c.settings()
	defer table.Close()
	reading := &stage{name: "shops", process: func(in *pipeline.Input, _ pipeline.State, fx *pipeline.Effects) error {
		version, value, _ := strings.Cut(string(in.Record.Value), " ")
		n, err := strconv.ParseUint(version, 10, 64)
		if err == nil {
			_, err = in.Settings.At("acme", n)
		}
		if err != nil {
			return err
		}
		fx.Emit("out", in.Key, []byte(value))
		return nil
	}}
	store := openStore(t, t.TempDir())
	cfg := c.config(reading, store)
	cfg.Settings, cfg.SettingsWait, cfg.CommitRecords = table, patience, 8
	keys := keyOfEach()
	version := func(n int) {
		c.produce(settingsRecord(t, fmt.Sprintf("acme|%d", n), uint64(n), fmt.Sprintf(shopDocument, "acme", fmt.Sprintf("V%d", n))))
	}
	const waiting, others = 60, 40
	c.run(cfg, func(*running) {
		version(1)
		var want []string
		for i := range waiting {
			c.produce(&kgo.Record{Topic: "handoff.shops", Key: keys[0], Value: fmt.Appendf(nil, "2 %d", i)})
			want = append(want, strconv.Itoa(i))
		}
		for i := range others {
			c.produce(&kgo.Record{Topic: "handoff.shops", Key: keys[1], Value: fmt.Appendf(nil, "1 %d", i)})
		}
		eventually(t, "the other partition is read to its end", func() bool { return c.committed("shops", 1) == others })
		if at := c.committed("shops", 0); at > 0 {
			t.Errorf("the partition that waits is committed up to %d", at)
		}
		version(2)
		eventually(t, "the partition goes on", func() bool { return c.committed("shops", 0) == waiting })
		var got []string
		for _, r := range c.read("out")[0] {
			got = append(got, string(r.Value))
		}
		if !slices.Equal(got, want) {
			t.Errorf("came out in the order %v", got)
		}
	})
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSlowStage: a stage that takes long for a record commits as often as another, and takes its partitions in turn.
func TestSlowStage(t *testing.T) {
	t.Parallel()
	slow := func() { time.Sleep(4 * time.Millisecond) }
	// A runner that looks at no clock commits all at once. A slow broker makes transactions longer, yet it takes
	// commits of 200 ms to get below this.
	if n := transactions(t, "slow", 320, slow, 0, nil); n < 3 {
		t.Errorf("committed in %d transactions, want at least 3", n)
	}
}

// TestLargeChanges: a transaction ends where its changes are as large as it may be, amid what was polled at once.
func TestLargeChanges(t *testing.T) {
	t.Parallel()
	const records, size, most = 64, 64 << 10, 512 << 10
	bound := func(c *Config) {
		c.CommitEvery, c.TransactionTimeout, c.CommitBytes = 5*time.Second, 15*time.Second, most
	}
	// A partition that is there alone has all the room, and one change more than fits.
	const least = records * size / (most + size)
	if n := transactions(t, "large", records, func() {}, size, bound); n < least {
		t.Errorf("committed in %d transactions, want at least %d", n, least)
	}
}

// transactions has a stage of two partitions go through so many records of each that all wait from the start, and
// returns in how many transactions the partition with the fewer was committed.
func transactions(t *testing.T, name string, records int, do func(), size int, set func(*Config)) int {
	t.Helper()
	c := newCluster(t, 2, name)
	one := &stage{name: name, process: func(in *pipeline.Input, st pipeline.State, _ *pipeline.Effects) error {
		do()
		st.Put(string(in.Record.Value), make([]byte, size))
		return nil
	}}
	store := openStore(t, t.TempDir())
	cfg := c.config(one, store)
	if set != nil {
		set(&cfg)
	}
	keys := keyOfEach()
	for i := range records {
		for _, key := range keys {
			c.produce(&kgo.Record{Topic: schemas.Mailbox(name), Key: key, Value: fmt.Append(nil, i)})
		}
	}
	c.run(cfg, func(*running) {
		eventually(t, "all is processed", func() bool { return c.committed(name, 0) == int64(records) && c.committed(name, 1) == int64(records) })
	})
	least := records
	for _, changes := range c.read(schemas.Changelog(name)) { // each transaction ends with a position
		n := 0
		for _, r := range changes {
			if bytes.Equal(r.Key, state.PositionKey()) {
				n++
			}
		}
		least = min(least, n)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return least
}

// TestSettingsWait: a record whose settings version is not there waits, with its partition alone, and
// becomes a dead letter when it does not come.
func TestSettingsWait(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2, "shops")
	table := c.settings()
	defer table.Close()
	reading := &stage{name: "shops", process: func(in *pipeline.Input, _ pipeline.State, fx *pipeline.Effects) error {
		shop, err := in.Settings.At("acme", uint64(in.Record.Value[0]-'0'))
		if err != nil {
			return err
		}
		fx.Emit("out", in.Key, []byte(fmt.Sprintf("%s of %s", in.Record.Value, shop.Name)))
		return nil
	}}
	store := openStore(t, t.TempDir())
	cfg := c.config(reading, store)
	cfg.Settings, cfg.SettingsWait = table, patience
	keys := keyOfEach()
	send := func(p int, value string) {
		c.produce(&kgo.Record{Topic: "handoff.shops", Key: keys[p], Value: []byte(value)})
	}
	version := func(n int) {
		c.produce(settingsRecord(t, fmt.Sprintf("acme|%d", n), uint64(n), fmt.Sprintf(shopDocument, "acme", fmt.Sprintf("V%d", n))))
	}
	c.run(cfg, func(*running) {
		version(1)
		send(0, "2a")
		send(0, "1b")
		send(1, "1c")
		eventually(t, "the other partition goes on", func() bool { return c.committed("shops", 1) == 1 })
		if c.committed("shops", 0) != 0 {
			t.Error("the waiting record was passed")
		}
		version(2)
		eventually(t, "the partition goes on", func() bool { return c.committed("shops", 0) == 2 })
	})
	cfg.SettingsWait = 100 * time.Millisecond
	c.run(cfg, func(*running) {
		send(0, "9d")
		send(0, "1e")
		eventually(t, "it is given up", func() bool { return c.drained("shops") })
	})
	var first []string
	for _, r := range c.read("out")[0] {
		first = append(first, string(r.Value))
	}
	if got := strings.Join(first, ", "); got != "2a of V2, 1b of V1, 1e of V1" {
		t.Errorf("out of the waiting partition: %s", got)
	}
	if dead := c.values(schemas.TopicDeadLetters); len(dead) != 1 || dead[0] != "9d" {
		t.Errorf("dead letters: %q", dead)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}
