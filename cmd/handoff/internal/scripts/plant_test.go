package scripts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/script"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// partitions of a mailbox in these tests.
const partitions = 8

// tickKey begins the keys of records that say nothing but what time it is.
const tickKey = "tick|"

// plant is the whole pipeline on Kafka, as worlds see it. What they post is buffered until flush; what the
// stages post is read from the topics and given to the world it is about by settle. Its clock stands still
// but for moves.
type plant struct {
	to     kafka.Connection
	ctx    context.Context         // of the run; every wait ends with it
	fail   context.CancelCauseFunc // ends the run, and says why
	client *kgo.Client             // posts and asks
	admin  *kadm.Client
	rand   *rand.Rand
	table  *kafka.Settings
	clock  atomic.Int64 // Unix ns
	posts  []*kgo.Record
	desk   *outbox
	losing *losing
	holds  *holds
	rows   *rows
	ticks  [][]byte // a key of each partition
	marks  int

	tail    *kgo.Client
	reading sync.WaitGroup
	mu      sync.Mutex
	changed chan struct{}           // guarded by mu; closed when the tail has read more
	read    map[string]*[64]reached // guarded by mu; by topic
	arrived []*kgo.Record           // guarded by mu; not given to worlds yet
	letters map[string]bool         // places of dead letters that worlds know
	keys    map[string]bool         // of all records
	facts   int
}

// reached is how far the tail has read a partition: the next offset, and that after the last record that
// is no marker; and where markers are.
type reached struct {
	next, data int64
	markers    map[int64]bool
}

// mailboxes are what the five groups read.
func mailboxes() []string {
	return []string{schemas.TopicClassify, schemas.TopicConsent, schemas.TopicEscalate, schemas.TopicDeliver, schemas.TopicAnalytics}
}

func newPlant(ctx context.Context, to kafka.Connection, random *rand.Rand) (*plant, error) {
	ctx, fail := context.WithCancelCause(ctx)
	p := &plant{to: to, ctx: ctx, fail: fail, rand: random, desk: newOutbox(ctx, fail), losing: newLosing(), holds: newHolds(), rows: newRows(), changed: make(chan struct{}),
		read: map[string]*[64]reached{}, letters: map[string]bool{}, keys: map[string]bool{}, ticks: make([][]byte, partitions)}
	for n := 0; slices.ContainsFunc(p.ticks, func(key []byte) bool { return key == nil }); n++ {
		key := fmt.Append(nil, tickKey, n)
		p.ticks[schemas.Partition(key, partitions)] = key
	}
	var err error
	if p.client, err = to.NewClient("plant", kgo.RecordPartitioner(kafka.ByKey()), kgo.ProducerLinger(0)); err != nil {
		return nil, err
	}
	p.admin = kadm.NewClient(p.client)
	for _, topic := range schemas.Topics(partitions) {
		// Records are of the scripts' time: what is old for the broker is not for the test.
		config := map[string]*string{}
		for k, v := range topic.Config() {
			config[k] = &v
		}
		for _, forever := range []string{"retention.ms", "message.timestamp.after.max.ms"} {
			v := map[string]string{"retention.ms": "-1", "message.timestamp.after.max.ms": "9223372036854775807"}[forever]
			config[forever] = &v
		}
		if _, err := p.admin.CreateTopic(ctx, int32(topic.Partitions), -1, config, topic.Name); err != nil {
			return nil, fmt.Errorf("create %s: %w", topic.Name, err)
		}
	}
	if p.table, err = kafka.OpenSettings(ctx, kafka.SettingsConfig{Connection: to}); err != nil {
		return nil, err
	}
	topics := append(mailboxes(), schemas.TopicPlatform, schemas.TopicEpisodes, schemas.TopicDeadLetters)
	for _, topic := range topics {
		p.read[topic] = &[64]reached{}
	}
	if p.tail, err = to.NewClient("tail", kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(100*time.Millisecond)); err != nil {
		return nil, err
	}
	p.reading.Go(p.follow)
	return p, nil
}

func (p *plant) close() {
	p.fail(nil)
	p.tail.Close()
	p.reading.Wait()
	p.table.Close()
	p.client.Close()
}

// now is the clock that the runners are given.
func (p *plant) now() time.Time { return time.Unix(0, p.clock.Load()).UTC() }

// follow reads what is committed in all topics.
func (p *plant) follow() {
	for {
		fetches := p.tail.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		p.mu.Lock()
		fetches.EachRecord(func(r *kgo.Record) {
			at := &p.read[r.Topic][r.Partition]
			at.next = r.Offset + 1
			if r.Attrs.IsControl() {
				if at.markers == nil {
					at.markers = map[int64]bool{}
				}
				at.markers[r.Offset] = true
				return
			}
			at.data = at.next
			if !strings.HasPrefix(string(r.Key), tickKey) {
				p.arrived = append(p.arrived, r)
			}
		})
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
	}
}

// Post implements script.Plant.
func (p *plant) Post(e pipeline.Emit) {
	p.posts = append(p.posts, &kgo.Record{Topic: e.Topic, Key: e.Key, Value: e.Value, Timestamp: e.Time})
}

// Publish implements script.Plant. The version is known to the stages when it returns.
func (p *plant) Publish(shop string, version uint64, document []byte) error {
	body := &handoffv1.Record{Shop: shop, Body: &handoffv1.Record_Settings{Settings: &handoffv1.Settings{Version: version, Document: document}}}
	value, err := proto.Marshal(body)
	if err != nil {
		return err
	}
	var both []*kgo.Record
	for _, what := range []string{fmt.Sprint(version), "current"} {
		both = append(both, &kgo.Record{Topic: schemas.TopicSettings, Key: []byte(shop + "|" + what), Value: value})
	}
	if err := p.client.ProduceSync(p.ctx, both...).FirstErr(); err != nil {
		return err
	}
	for {
		changed := p.table.Changed()
		if _, is, err := p.table.Current(shop); err == nil && is >= version {
			return nil
		}
		select {
		case <-changed:
		case <-p.ctx.Done():
			return fmt.Errorf("version %d of the settings of %s is not read: %w", version, shop, context.Cause(p.ctx))
		}
	}
}

// Lose implements script.Plant.
func (p *plant) Lose(shop, stage string) { p.losing.lose(shop, stage) }

// Hold implements script.Plant.
func (p *plant) Hold(shop, stage string, held bool) { p.holds.hold(shop, stage, held) }

// Step implements script.Plant.
func (p *plant) Step(shop, stage string) { p.holds.step(shop, stage) }

// Calls implements script.Plant.
func (p *plant) Calls(shop string) []pipeline.PendingCall { return p.desk.calls(shop) }

// Reader implements script.Plant.
func (p *plant) Reader() pipeline.Reader { return p.desk }

// State implements script.Plant.
func (p *plant) State(stage string, key []byte, fn func(name string, value []byte) bool) error {
	fold := state.NewFold(state.Memory(), func(_ state.ItemKind, k []byte, _ string) bool { return bytes.Equal(k, key) })
	err := kafka.FoldChangelog(p.ctx, p.to, stage, schemas.Partition(key, partitions), fold, func(_, _ int64) {})
	if err != nil {
		return err
	}
	return fold.Each(func(item state.Item) bool { return item.Kind != state.Entry || fn(item.Name, item.Value) })
}

// tick posts what time it is to every partition of every stage: what is due fires before it.
func (p *plant) tick() {
	for _, stage := range []string{schemas.StageClassify, schemas.StageConsent, schemas.StageEscalate, schemas.StageDeliver} {
		for _, key := range p.ticks {
			p.posts = append(p.posts, &kgo.Record{Topic: schemas.Mailbox(stage), Key: key, Value: []byte{}, Timestamp: p.now()})
		}
	}
}

// told waits until the owners of deliver's partitions have told of every call that is committed: their word
// comes after the commit, and of one who was killed then it never comes, but from who takes over.
func (p *plant) told(ctx context.Context) error {
	p.marks++
	name := fmt.Sprintf("mark%d", p.marks)
	var all []*kgo.Record
	for _, key := range p.ticks {
		all = append(all, &kgo.Record{Topic: schemas.TopicDeliver, Key: key, Value: []byte(name), Timestamp: p.now()})
	}
	if err := p.client.ProduceSync(ctx, all...).FirstErr(); err != nil {
		return fmt.Errorf("post a mark: %w", err)
	}
	held := func(partition int32) bool { return p.holds.blocks(schemas.TopicDeliver, partition) }
	for !p.desk.marked(name, held) {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("nobody tells of the calls: %w", context.Cause(ctx))
		}
	}
	return nil
}

// flush posts what is buffered, in random batches; the records of one key keep their order. between is
// called between two batches.
func (p *plant) flush(ctx context.Context, between func()) error {
	posts := interleave(p.rand, p.posts)
	p.posts = nil
	for len(posts) > 0 {
		n := 1 + p.rand.IntN(len(posts))
		if err := p.client.ProduceSync(ctx, posts[:n]...).FirstErr(); err != nil {
			return fmt.Errorf("post: %w", err)
		}
		if posts = posts[n:]; len(posts) > 0 {
			between()
		}
	}
	return nil
}

// interleave draws an order of records in which those of one shop stay in theirs.
func interleave(random *rand.Rand, records []*kgo.Record) []*kgo.Record {
	byShop := map[string][]*kgo.Record{}
	var order []string
	for _, r := range records {
		shop, _, _ := strings.Cut(string(r.Key), "|")
		byShop[shop] = append(byShop[shop], r)
		order = append(order, shop)
	}
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	mixed := make([]*kgo.Record, len(order))
	for i, shop := range order {
		mixed[i], byShop[shop] = byShop[shop][0], byShop[shop][1:]
	}
	return mixed
}

// settle waits until nothing is left to do: no transaction is open, everything in every mailbox is committed
// by its group, and what came of that was read. Groups are asked before the topics' ends: what a transaction
// posted is in its topics before its offset counts, so nothing can be beyond those ends that came of what the
// groups had committed.
func (p *plant) settle(ctx context.Context) error {
	topics, busy := append(mailboxes(), schemas.TopicPlatform, schemas.TopicEpisodes, schemas.TopicDeadLetters), ""
	for {
		committed := p.admin.FetchManyOffsets(ctx, mailboxes()...) // a group is named after its mailbox
		ends, err := p.admin.ListEndOffsets(ctx, topics...)        // of open transactions too
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return fmt.Errorf("look for the topics' ends (last %s): %w", busy, err)
		}
		if err := p.await(ctx, ends); err != nil {
			return err
		}
		if busy = p.busy(committed); busy == "" {
			return nil
		}
		select {
		case <-time.After(3 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the stages do not come to rest, %s: %w", busy, context.Cause(ctx))
		}
	}
}

// await waits until the tail has read that far.
func (p *plant) await(ctx context.Context, ends kadm.ListedOffsets) error {
	for {
		p.mu.Lock()
		changed, behind := p.changed, false
		ends.Each(func(o kadm.ListedOffset) {
			behind = behind || p.read[o.Topic][o.Partition].next < o.Offset
		})
		p.mu.Unlock()
		if !behind {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the topics cannot be read to their ends: %w", context.Cause(ctx))
		}
	}
}

// busy is where a group has not committed a record that the tail knows of; "" where each has.
func (p *plant) busy(committed kadm.FetchOffsetsResponses) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, topic := range mailboxes() {
		of := committed[topic]
		for n, at := range p.read[topic] {
			o, known := of.Fetched.Lookup(topic, int32(n))
			next := o.At
			for at.markers[next] {
				next++
			}
			if known && p.holds.stands(topic, int32(n), next) {
				continue
			}
			if at.data > 0 && (!known || o.Err != nil || o.At < at.data) {
				return fmt.Sprintf("%s/%d is committed to %d of %d (%v)", topic, n, o.At, at.data, errors.Join(of.Err, o.Err))
			}
		}
	}
	return ""
}

// given are the records that came since the last call, by shop, and the dead letters.
func (p *plant) given(ctx context.Context, shops map[string]*script.Remote) error {
	p.mu.Lock()
	records := p.arrived
	p.arrived = nil
	p.mu.Unlock()
	lost := false
	for _, r := range records {
		if r.Topic == schemas.TopicDeadLetters {
			lost = true
			continue
		}
		shop, _, _ := strings.Cut(string(r.Key), "|")
		p.keys[string(r.Key)] = true
		if r.Topic == schemas.TopicAnalytics {
			p.facts++
		}
		w := shops[shop]
		if w == nil {
			return fmt.Errorf("%s/%d/%d has the key %q, of no shop in the test", r.Topic, r.Partition, r.Offset, r.Key)
		}
		w.Arrived(pipeline.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Time: r.Timestamp.UTC()})
	}
	if !lost {
		return nil
	}
	return p.giveLetters(ctx, shops)
}

// giveLetters tells worlds of dead letters that they do not know.
func (p *plant) giveLetters(ctx context.Context, shops map[string]*script.Remote) error {
	all, err := kafka.ReadDeadLetters(ctx, p.to, nil)
	if err != nil {
		return err
	}
	if err := errors.Join(all.Bad...); err != nil {
		return err
	}
	for _, l := range all.All {
		if p.letters[l.Place()] {
			continue
		}
		p.letters[l.Place()] = true
		told := &turn.Lost{Name: l.Name(), Stage: l.Stage, Key: l.Key, Value: l.Value, Time: l.Time}
		if l.Timer != "" {
			told.Timer = &pipeline.Timer{Name: l.Timer, At: l.Time}
		}
		shop, _, _ := strings.Cut(string(l.Key), "|")
		if shops[shop] == nil {
			return fmt.Errorf("%s could not process a record of no shop in the test: %s", l.Stage, l.Reason)
		}
		shops[shop].Lost(told, l.Reason)
	}
	return nil
}

// entries are what the stages keep, by shop, from their changelogs.
func (p *plant) entries(ctx context.Context) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	for _, stage := range []string{schemas.StageClassify, schemas.StageConsent, schemas.StageEscalate, schemas.StageDeliver} {
		for n := range int32(partitions) {
			fold := state.NewFold(state.Memory(), nil)
			if err := kafka.FoldChangelog(ctx, p.to, stage, n, fold, nil); err != nil {
				return nil, err
			}
			err := fold.Each(func(i state.Item) bool {
				shop, _, _ := strings.Cut(string(i.Key), "|")
				if i.Kind == state.Entry && shop+"|" != tickKey {
					if all[shop] == nil {
						all[shop] = map[string]string{}
					}
					all[shop][stage+" "+string(i.Key)+" "+i.Name] = string(i.Value)
				}
				return true
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// everyRowOnce tells whether each fact was written exactly once.
func (p *plant) everyRowOnce() error {
	p.rows.mu.Lock()
	defer p.rows.mu.Unlock()
	if len(p.rows.twice) > 0 {
		return fmt.Errorf("%d facts are in two writes, the first at %s", len(p.rows.twice), p.rows.twice[0])
	}
	if n := p.facts; len(p.rows.seen) != n {
		return fmt.Errorf("%d facts were reported and %d were written", n, len(p.rows.seen))
	}
	return nil
}
