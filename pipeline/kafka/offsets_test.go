package kafka

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// TestOffsets: whatever became of the group's offsets, of the mailbox's beginning and of its end, a stage
// goes on where its state stands, or says why not and what to do.
func TestOffsets(t *testing.T) {
	t.Parallel()
	c := newClusterOf(t, 1, 4)
	offsetCases(t, Connection{Brokers: c.ListenAddrs()})
}

// TestRealKafkaOffsets is the same on real brokers.
func TestRealKafkaOffsets(t *testing.T) {
	offsetCases(t, Connection{Brokers: realBrokers(t)})
}

func offsetCases(t *testing.T, to Connection) {
	for name, run := range map[string]func(*adrift){
		"forgotten":           func(a *adrift) { a.forgotten(false) },
		"forgotten, no store": func(a *adrift) { a.forgotten(true) },
		"undecided":           (*adrift).undecided,
		"eaten":               (*adrift).eaten,
		"madeAnew":            (*adrift).madeAnew,
		"setBack":             (*adrift).setBack,
		"markers":             (*adrift).markers,
		"markersOfARunning":   (*adrift).markersOfARunning,
	} {
		t.Run(name, func(t *testing.T) { run(newAdrift(t, to)) })
	}
}

// adrift is a stage whose offsets somebody or something changes.
type adrift struct {
	t      *testing.T
	ctx    context.Context
	to     Connection
	stage  realCounter
	topics *Admin
	client *kgo.Client
	admin  *kadm.Client
	store  *state.Store
	perKey map[string]int
}

func newAdrift(t *testing.T, to Connection) *adrift {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	name := "adrift" + strconv.FormatInt(time.Now().UnixNano(), 36)
	a := &adrift{t: t, ctx: ctx, to: to, stage: realCounter{counter{name}, name + ".out"}, perKey: map[string]int{}}
	var err error
	if a.topics, err = NewAdmin(to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.topics.Close)
	createReal(ctx, t, a.topics, name)
	if a.client, err = to.NewClient("test", kgo.RecordPartitioner(ByKey())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.client.Close)
	a.admin = kadm.NewClient(a.client)
	a.store = openStore(t, t.TempDir())
	t.Cleanup(func() {
		if err := a.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func (a *adrift) mailbox() string { return schemas.Mailbox(a.stage.name) }

// records are n more for the stage.
func (a *adrift) records(n int) []*kgo.Record {
	all := make([]*kgo.Record, n)
	for i := range all {
		key := fmt.Sprintf("shop|%d", i%40)
		a.perKey[key]++
		all[i] = &kgo.Record{Topic: a.mailbox(), Key: []byte(key), Value: []byte("v")}
	}
	return all
}

func (a *adrift) load(n int) {
	a.t.Helper()
	if err := a.client.ProduceSync(a.ctx, a.records(n)...).FirstErr(); err != nil {
		a.t.Fatal(err)
	}
}

// committed offsets of the group, by partition.
func (a *adrift) committed() map[int32]kadm.Offset {
	got, err := a.admin.FetchOffsets(a.ctx, a.mailbox())
	at := map[int32]kadm.Offset{}
	if err != nil {
		return at
	}
	got.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At >= 0 {
			at[o.Partition] = o.Offset
		}
	})
	return at
}

func (a *adrift) ends() map[int32]int64 {
	a.t.Helper()
	got, err := a.admin.ListEndOffsets(a.ctx, a.mailbox())
	if err == nil {
		err = got.Error()
	}
	if err != nil {
		a.t.Fatal(err)
	}
	ends := map[int32]int64{}
	got.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	return ends
}

// drained tells whether the group stands at the end.
func (a *adrift) drained() bool {
	at := a.committed()
	for p, end := range a.ends() {
		if at[p].At != end {
			return false
		}
	}
	return true
}

func (a *adrift) config() Config {
	cfg := configOn(a.to, a.stage, a.store)
	cfg.RestoreWait = time.Second
	return cfg
}

// run runs the stage until the condition holds.
func (a *adrift) run(what string, condition func() bool) {
	a.t.Helper()
	run := start(a.t, a.config())
	eventually(a.t, what, func() bool {
		select {
		case err := <-run.done:
			a.t.Fatalf("it ended before %s: %v", what, err)
		default:
		}
		return condition()
	})
	if err := run.stop(); err != nil {
		a.t.Fatal(err)
	}
}

// refused runs the stage until it gives up, and checks that it says all of why.
func (a *adrift) refused(why ...string) {
	a.t.Helper()
	run := start(a.t, a.config())
	select {
	case err := <-run.done:
		for _, w := range append(why, "handoff reset "+a.stage.name+" --keep-state") {
			if err == nil || !strings.Contains(err.Error(), w) {
				a.t.Errorf("Run: %v, want %q in it", err, w)
			}
		}
	case <-time.After(patience):
		a.t.Fatal("it does not give up")
	}
	if run.runner.Ready() == nil {
		a.t.Error("it says it is ready")
	}
}

// keepState is what the error tells to do.
func (a *adrift) keepState() []*PartitionReset {
	a.t.Helper()
	var r *Reset
	eventually(a.t, "the group is empty and its state is kept", func() bool {
		var err error
		if r, err = OpenReset(a.ctx, ResetConfig{Connection: a.to, Name: a.stage.name, KeepState: true, Dir: a.t.TempDir()}); err != nil {
			a.t.Fatal(err)
		}
		_, err = r.Run(a.ctx)
		if closed := r.Close(); closed != nil {
			a.t.Fatal(closed)
		}
		return err == nil
	})
	return r.Plan()
}

// removeTo removes the mailbox's records before these offsets, as retention does.
func (a *adrift) removeTo(at map[int32]int64) {
	a.t.Helper()
	offsets := kadm.Offsets{}
	for p, o := range at {
		offsets.Add(kadm.Offset{Topic: a.mailbox(), Partition: p, At: o, LeaderEpoch: -1})
	}
	got, err := a.admin.DeleteRecords(a.ctx, offsets)
	if err == nil {
		err = got.Error()
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *adrift) deleteGroup() {
	a.t.Helper()
	eventually(a.t, "the group is gone", func() bool {
		_, err := a.admin.DeleteGroup(a.ctx, a.mailbox())
		return err == nil
	})
}

func (a *adrift) check() {
	a.t.Helper()
	checkReal(a.ctx, a.t, a.to, a.stage.out, a.perKey)
}

// forgotten: brokers forget the offsets of a group that was away for long. The state says where it goes
// on, and the group gets that without waiting for a record; nothing is read that was read before, which
// here is not even there.
func (a *adrift) forgotten(storeToo bool) {
	a.load(300)
	a.run("all are committed", a.drained)
	before := a.ends()
	a.deleteGroup()
	a.removeTo(before)
	if storeToo {
		if err := a.store.Close(); err != nil {
			a.t.Fatal(err)
		}
		a.store = openStore(a.t, a.t.TempDir())
	}
	a.run("the group has its offsets again", a.drained)
	for p, o := range a.committed() {
		if number, ours := parseMetadata(o.Metadata); !ours || number < 2 {
			a.t.Errorf("partition %d: the offset is of transaction %q", p, o.Metadata)
		}
	}
	a.load(100)
	a.run("the rest is committed", a.drained)
	a.check()
}

// undecided: while a transaction is open on the changelog, its offset may be the one that the group has
// lost: nothing is gone on from before it is known.
func (a *adrift) undecided() {
	a.load(300)
	a.run("all are committed", a.drained)
	a.deleteGroup()
	open, err := a.to.NewClient("test", kgo.TransactionalID(a.stage.name), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		a.t.Fatal(err)
	}
	defer open.Close()
	if err := open.BeginTransaction(); err != nil {
		a.t.Fatal(err)
	}
	for p := range int32(4) {
		r := &kgo.Record{Topic: schemas.Changelog(a.stage.name), Partition: p, Key: []byte("of a transaction without an end"), Value: []byte("v")}
		if err := open.ProduceSync(a.ctx, r).FirstErr(); err != nil {
			a.t.Fatal(err)
		}
	}
	run := start(a.t, a.config())
	if err := run.ended(); err == nil || !strings.Contains(err.Error(), "is open: where the state stands is not decided") {
		a.t.Errorf("Run: %v", err)
	}
	if err := open.EndTransaction(a.ctx, kgo.TryAbort); err != nil {
		a.t.Fatal(err)
	}
	a.load(100)
	a.run("the rest is committed", a.drained)
	a.check()
}

// eaten: what retention has removed before it was processed is told, and what is done about it too.
func (a *adrift) eaten() {
	a.load(300)
	a.run("all are committed", a.drained)
	counted := a.perKey
	a.perKey = map[string]int{}
	a.load(100)
	a.removeTo(a.ends())
	a.refused("never processed are gone", "the topic begins at")
	lost := int64(0)
	for _, p := range a.keepState() {
		lost += p.Lost
	}
	if lost != 100 {
		a.t.Errorf("%d records are said to be lost, want 100", lost)
	}
	a.perKey = counted
	a.load(100)
	a.run("the rest is committed", a.drained)
	a.check()
}

// madeAnew: a mailbox that ends before the state's offset is not read from there: what comes until then
// would be taken for processed.
func (a *adrift) madeAnew() {
	a.load(300)
	a.run("all are committed", a.drained)
	if _, err := a.admin.DeleteTopics(a.ctx, a.mailbox()); err != nil {
		a.t.Fatal(err)
	}
	eventually(a.t, "the topic is gone", func() bool {
		have, err := a.admin.ListTopics(a.ctx, a.mailbox())
		return err == nil && !have.Has(a.mailbox())
	})
	createReal(a.ctx, a.t, a.topics, a.stage.name)
	a.client.PurgeTopicsFromClient(a.mailbox())
	a.refused("the topic ends at 0", "made anew or lost its end")
	a.keepState()
	a.load(100)
	a.run("the rest is committed", a.drained)
	a.check()
}

// setBack: a group that stands before the state, by an old commit of the runner's own, is not followed:
// what was processed would be processed again.
func (a *adrift) setBack() {
	a.load(100)
	a.run("all are committed", a.drained)
	old := a.committed()
	a.load(100)
	a.run("all are committed", a.drained)
	offsets := kadm.Offsets{}
	for _, o := range old {
		offsets.Add(o)
	}
	eventually(a.t, "the offsets are set back", func() bool { return a.admin.CommitAllOffsets(a.ctx, a.mailbox(), offsets) == nil })
	a.refused("the group stands at offset")
	a.keepState()
	a.load(100)
	a.run("the rest is committed", a.drained)
	a.check()
}

// aborted posts records to every partition that are never there for a reader, with a marker behind them.
func (a *adrift) aborted() {
	a.t.Helper()
	client, err := a.to.NewClient("test", kgo.TransactionalID(a.stage.name), kgo.RecordPartitioner(ByKey()))
	if err != nil {
		a.t.Fatal(err)
	}
	defer client.Close()
	counted := maps.Clone(a.perKey)
	err = client.BeginTransaction()
	if err == nil {
		err = client.ProduceSync(a.ctx, a.records(40)...).FirstErr()
	}
	if err == nil {
		err = client.EndTransaction(a.ctx, kgo.TryAbort)
	}
	a.perKey = counted
	if err != nil {
		a.t.Fatal(err)
	}
}

// markers: a transaction that was aborted leaves a marker behind records that nobody reads. Retention
// removes both, and then they must not look like records that were never processed.
func (a *adrift) markers() {
	a.load(300)
	a.run("all are committed", a.drained)
	a.aborted()
	run := start(a.t, a.config())
	eventually(a.t, "the markers are read", func() bool { return run.runner.Ready() == nil && run.runner.passed(a.ends()) })
	if err := run.stop(); err != nil {
		a.t.Fatal(err)
	}
	a.removeTo(a.ends())
	a.load(100)
	a.run("the rest is committed", a.drained)
	a.check()
}

// passed tells whether the partitions are read to these offsets.
func (r *Runner) passed(ends map[int32]int64) bool {
	r.reader.mu.RLock()
	defer r.reader.mu.RUnlock()
	for p, end := range ends {
		if o := r.reader.owned[p]; o == nil || o.next < end {
			return false
		}
	}
	return true
}

// markersOfARunning: one that runs on does not leave its offsets at markers either.
func (a *adrift) markersOfARunning() {
	r, err := New(a.config())
	if err != nil {
		a.t.Fatal(err)
	}
	r.settleEvery = 50 * time.Millisecond
	run := launch(a.t, r)
	a.load(300)
	eventually(a.t, "all are committed", a.drained)
	a.aborted()
	eventually(a.t, "markers are passed too", a.drained)
	if err := run.stop(); err != nil {
		a.t.Fatal(err)
	}
	a.check()
}
