package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// TestHints: what a member tells is read back, behind whatever else there is; anything else is no hint.
func TestHints(t *testing.T) {
	h := hint{Process: "a", Standby: 1, Copies: map[int32]int64{3: 1200, 4: 0}}
	for _, before := range []string{"", "of another kind", hintMark} {
		data := h.appendTo([]byte(before))
		got, ok := parseHint(data)
		if !ok || fmt.Sprint(got) != fmt.Sprint(h) {
			t.Errorf("behind %q: %v %v", before, got, ok)
		}
		for n := range data {
			if _, ok := parseHint(data[:n]); ok && n > 0 && string(data[:n]) != before {
				t.Errorf("the first %d bytes are a hint", n)
			}
		}
	}
	for _, other := range []string{"", hintMark, "\x00\x00\x00\x09" + hintMark, "{}\x00\x00\x00\x02" + hintMark, "\xff\xff\xff\xff" + hintMark} {
		if got, ok := parseHint([]byte(other)); ok {
			t.Errorf("%q is taken for %v", other, got)
		}
	}
}

// TestKeeping: what the leader tells is read back by who can warm up; who cannot gets the list that its
// version reads, and nothing is nothing.
func TestKeeping(t *testing.T) {
	k := keeping{Copies: []int32{1, 5}, Warm: []int32{7}, Leaves: true, Standby: 1}
	for warms, want := range map[bool]keeping{true: k, false: {Copies: k.Copies}} {
		got, err := parseKeeping(k.tell(warms))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v %v, want %v", got, err, want)
		}
	}
	if got := string(k.tell(false)); got != "[1,5]" {
		t.Errorf("a version that cannot warm up is told %s", got)
	}
	if a, b := (keeping{}).tell(true), (keeping{Warm: k.Warm, Leaves: true}).tell(false); a != nil || b != nil {
		t.Errorf("nothing is told as %q and %q", a, b)
	}
	if _, err := parseKeeping([]byte("{")); err == nil {
		t.Error("garbage is read")
	}
}

// TestBalancerBesideOlder: in one group with processes of a version without hints every partition has one
// owner, whoever leads, and what is kept stays.
func TestBalancerBesideOlder(t *testing.T) {
	const topic = "handoff.count"
	runner := func(name string) *Runner {
		return &Runner{cfg: Config{Standby: 1}, mailbox: topic, copies: newCopies(name)}
	}
	balancers := []kgo.GroupBalancer{newBalancer(runner("a"), 0), kgo.CooperativeStickyBalancer(), newBalancer(runner("c"), 0), kgo.CooperativeStickyBalancer()}
	for leader := range balancers {
		owned := make([]map[string][]int32, len(balancers))
		for round := range 4 {
			var members []kmsg.JoinGroupResponseMember
			for i, b := range balancers {
				if round >= 2 && i == 1 {
					continue // it is gone
				}
				members = append(members, kmsg.JoinGroupResponseMember{MemberID: strconv.Itoa(i), ProtocolMetadata: b.JoinGroupMetadata([]string{topic}, owned[i], int32(round))})
			}
			of, _, err := balancers[leader].MemberBalancer(members)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := of.(kgo.GroupMemberBalancerOrError).BalanceOrError(map[string]int32{topic: 16})
			if err != nil {
				t.Fatal(err)
			}
			seen := map[int32]bool{}
			for _, a := range plan.IntoSyncAssignment() {
				i, err := strconv.Atoi(a.MemberID)
				if err != nil {
					t.Fatal(err)
				}
				before := owned[i][topic]
				if owned[i], err = balancers[i].ParseSyncAssignment(a.MemberAssignment); err != nil {
					t.Fatal(err)
				}
				for _, p := range owned[i][topic] {
					if seen[p] {
						t.Fatalf("led by %d, round %d: partition %d has two owners", leader, round, p)
					}
					seen[p] = true
				}
				for _, p := range before {
					if round != 0 && !slices.Contains(owned[i][topic], p) {
						t.Fatalf("led by %d, round %d: %d gives up partition %d though nobody came", leader, round, i, p)
					}
				}
			}
			if len(seen) != 16 {
				t.Fatalf("led by %d, round %d: %d of 16 partitions have an owner", leader, round, len(seen))
			}
		}
	}
}

// TestStaleClaim: a member that missed a rebalance still says it owns what has gone to another; the newer
// generation is believed.
func TestStaleClaim(t *testing.T) {
	const topic = "handoff.count"
	b := newBalancer(&Runner{mailbox: topic, copies: newCopies("a")}, 0)
	claim := func(id string, generation int32, partitions ...int32) kmsg.JoinGroupResponseMember {
		return kmsg.JoinGroupResponseMember{MemberID: id, ProtocolMetadata: b.JoinGroupMetadata([]string{topic}, map[string][]int32{topic: partitions}, generation)}
	}
	of, err := kgo.NewConsumerBalancer(b, []kmsg.JoinGroupResponseMember{claim("stale", 3, 0, 1), claim("fresh", 7, 1, 2)})
	if err != nil {
		t.Fatal(err)
	}
	members, _ := membersOf(of, topic)
	if got := fmt.Sprint(members[0].Owned, members[1].Owned); got != "[0] [1 2]" {
		t.Errorf("they own %s", got)
	}
}

// TestHandsOver: who is to leave partitions is told so. Its own rebalance follows; but who comes back to that
// answer, owning nothing, asks for one.
func TestHandsOver(t *testing.T) {
	const topic = "handoff.count"
	balancers := map[string]*balancer{}
	members := func(owned map[string][]int32) (all []kmsg.JoinGroupResponseMember) {
		for _, id := range []string{"leader", "other", "newcomer"} {
			if balancers[id] == nil {
				balancers[id] = newBalancer(&Runner{mailbox: topic, copies: newCopies(id)}, 0)
				balancers[id].r.copies.near = map[int32]bool{0: true, 1: true, 2: true}
			}
			all = append(all, kmsg.JoinGroupResponseMember{MemberID: id, ProtocolMetadata: balancers[id].JoinGroupMetadata([]string{topic}, map[string][]int32{topic: owned[id]}, 1)})
		}
		return all
	}
	of, _, err := newBalancer(&Runner{mailbox: topic, copies: newCopies("leader")}, 0).MemberBalancer(members(map[string][]int32{"leader": {0}, "other": {1, 2}}))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := of.(kgo.GroupMemberBalancerOrError).BalanceOrError(map[string]int32{topic: 3})
	if err != nil {
		t.Fatal(err)
	}
	told := plan.IntoSyncAssignment()
	unfinished := func() string {
		var who []string
		for _, a := range told {
			if _, err := balancers[a.MemberID].ParseSyncAssignment(a.MemberAssignment); err != nil {
				t.Fatal(err)
			}
			if balancers[a.MemberID].unfinished.Load() {
				who = append(who, a.MemberID)
			}
		}
		return fmt.Sprint(who)
	}
	if got := unfinished(); got != "[]" {
		t.Errorf("%s ask for a rebalance beside the one that follows", got)
	}
	members(nil) // all come back
	if got := unfinished(); got != "[other]" {
		t.Errorf("%s ask for a rebalance, want who left one of two partitions", got)
	}
	balancers["newcomer"].r.cfg.Standby = 1
	if got := unfinished(); got != "[newcomer other]" && got != "[other newcomer]" {
		t.Errorf("%s ask for a rebalance, want also who wants a copy", got)
	}
}

// TestStandbyCopies: of three processes each partition's state is kept by one beside its owner's; when
// one goes, what it had goes to where the copies are. After everything was stopped, each process gets what
// lies on its disk.
func TestStandbyCopies(t *testing.T) {
	t.Parallel()
	c := newClusterOf(t, 1, 4)
	standbyCopies(t, Connection{Brokers: c.ListenAddrs()}, "")
}

// TestRealKafkaStandby is the same on a real broker, with static members.
func TestRealKafkaStandby(t *testing.T) {
	standbyCopies(t, Connection{Brokers: realBrokers(t)}, "one")
}

// replica is one of the processes.
type replica struct {
	store    *state.Store
	registry *prometheus.Registry
	run      *running
}

func standbyCopies(t *testing.T, to Connection, instance string) {
	a := newAdrift(t, to)
	all := make([]*replica, 3)
	launchOne := func(i int) {
		cfg := a.config()
		all[i].registry = prometheus.NewRegistry()
		cfg.Store, cfg.Standby, cfg.Registerer, cfg.RestoreWait = all[i].store, 1, all[i].registry, 30*time.Second
		if instance != "" {
			cfg.Instance = instance + strconv.Itoa(i)
		}
		all[i].run = start(t, cfg)
	}
	for i := range all {
		all[i] = &replica{store: openStore(t, t.TempDir())}
		t.Cleanup(func() {
			if err := all[i].store.Close(); err != nil {
				t.Error(err)
			}
		})
		launchOne(i)
	}
	a.load(3000)
	holds := func(i int, p int32) bool {
		pos, _, err := state.ReadPosition(all[i].store.Backing(a.stage.name, p))
		return err == nil && pos.Offset >= a.committed()[p].At && pos.Number > 0
	}
	owner := func(p int32) int {
		for i, r := range all {
			if r.run != nil && r.run.runner.reader.of(p) != nil {
				return i
			}
		}
		return -1
	}
	settled := func(processes int) bool {
		if !a.drained() {
			return false
		}
		owners := map[int]bool{}
		for p := range int32(4) {
			o, copies := owner(p), 0
			for i, r := range all {
				if r.run != nil && i != o && slices.Contains(r.run.runner.toKeep(), p) && holds(i, p) {
					copies++
				}
			}
			if o < 0 || copies != 1 {
				return false
			}
			owners[o] = true
		}
		return len(owners) == processes
	}
	eventually(t, "each partition has an owner and one copy", func() bool { return settled(3) })

	before := map[int32]int{}
	for p := range int32(4) {
		before[p] = owner(p)
	}
	if err := all[1].run.stop(); err != nil {
		t.Fatal(err)
	}
	all[1].run = nil
	restored := restoredRecords(t, all[0].registry) + restoredRecords(t, all[2].registry)
	a.load(1000)
	eventually(t, "two go on, with one copy of each partition", func() bool { return settled(2) })
	for p, was := range before {
		if was != 1 && owner(p) != was {
			t.Errorf("partition %d went from %d to %d though its owner stayed", p, was, owner(p))
		}
	}
	if n := restoredRecords(t, all[0].registry) + restoredRecords(t, all[2].registry) - restored; n > 100 {
		t.Errorf("%v records were restored although copies were there", n)
	}

	home := map[int32]int{}
	for p := range int32(4) {
		home[p] = owner(p)
	}
	for _, i := range []int{0, 2} {
		if err := all[i].run.stop(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the group is empty", func() bool {
		groups, err := a.admin.DescribeGroups(a.ctx, a.mailbox())
		return err == nil && len(groups[a.mailbox()].Members) == 0
	})
	for _, i := range []int{2, 0} {
		launchOne(i)
	}
	a.load(1000)
	eventually(t, "both are back", func() bool { return settled(2) })
	for p := range int32(4) {
		if i := owner(p); i >= 0 {
			if _, told := all[i].run.runner.hint().Copies[p]; !told {
				t.Errorf("process %d did not tell that the state of partition %d lies on its disk", i, p)
			}
		}
	}
	if n := restoredRecords(t, all[0].registry) + restoredRecords(t, all[2].registry); n > 100 {
		t.Errorf("%v records were restored although each has its state on its disk", n)
	}
	for _, i := range []int{0, 2} {
		if err := all[i].run.stop(); err != nil {
			t.Fatal(err)
		}
	}
	a.check()
}

// TestWarmUp: a process that comes without state gets partitions only once it has read their state beside
// who is at work on them, and nobody's transactions fail by the rebalances.
func TestWarmUp(t *testing.T) {
	t.Parallel()
	c := newClusterOf(t, 1, 4)
	warmUp(t, Connection{Brokers: c.ListenAddrs()}, "")
}

// TestRealKafkaWarmUp is the same on a real broker, with static members.
func TestRealKafkaWarmUp(t *testing.T) {
	warmUp(t, Connection{Brokers: realBrokers(t)}, "one")
}

func warmUp(t *testing.T, to Connection, instance string) {
	a := newAdrift(t, to)
	launchOne := func(i int, store *state.Store) (*running, *prometheus.Registry) {
		cfg, registry := a.config(), prometheus.NewRegistry()
		cfg.Store, cfg.Registerer, cfg.RestoreWait = store, registry, 30*time.Second
		if instance != "" {
			cfg.Instance = instance + strconv.Itoa(i)
		}
		r, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		r.nearRecords = 10
		return launch(t, r), registry
	}
	first, ofFirst := launchOne(0, a.store)
	for range 30 {
		a.load(100)
		eventually(t, "the first has done all", a.drained)
	}
	changelog := schemas.Changelog(a.stage.name)
	ends, err := a.admin.ListEndOffsets(a.ctx, changelog)
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset < 200 {
			t.Fatalf("only %d records are in partition %d of the changelog", o.Offset, o.Partition)
		}
	})
	store := openStore(t, t.TempDir())
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	second, registry := launchOne(1, store)
	owns := func(r *Runner) (n int) {
		for p := range int32(4) {
			if r.reader.of(p) != nil {
				n++
			}
		}
		return n
	}
	loaded := time.Now()
	eventually(t, "it has its share", func() bool {
		if time.Since(loaded) > 200*time.Millisecond { // the first is never idle for long
			a.load(20)
			loaded = time.Now()
		}
		return owns(second.runner) == 2 && owns(first.runner) == 2
	})
	if n := restoredRecords(t, registry); n > 150 {
		t.Errorf("%v records were restored while nobody was at work on their partitions", n)
	}
	a.load(400)
	eventually(t, "both have done all", a.drained)
	for i, of := range []*prometheus.Registry{ofFirst, registry} {
		if n := counted(t, of, "handoff_runner_restarts_total"); n > 0 {
			t.Errorf("member %d started over %v times because of a rebalance", i, n)
		}
	}
	for _, r := range []*running{second, first} {
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	a.check()
}

// TestRealKafkaEndsWhileItHandsOver: a static member ends when it has let go of partitions and not asked yet
// for the rebalance that gives them to somebody. It comes back without one, to what it was told then. Four
// members come one by one; two of them, one the group's leader, must then give up a partition, and end as
// they do. (kfake has a rebalance whenever a member comes back with other metadata.)
func TestRealKafkaEndsWhileItHandsOver(t *testing.T) {
	a := newAdrift(t, Connection{Brokers: realBrokers(t)})
	letting := make(chan int, 4)
	armed := make([]atomic.Bool, 4)
	all := make([]*running, 4)
	stores := make([]*state.Store, 4)
	launchOne := func(i int) {
		if stores[i] == nil {
			stores[i] = openStore(t, t.TempDir())
			t.Cleanup(func() {
				if err := stores[i].Close(); err != nil {
					t.Error(err)
				}
			})
		}
		line := newWire()
		cfg := a.config()
		cfg.Store, cfg.Instance, cfg.Options = stores[i], "one"+strconv.Itoa(i), append(cfg.Options, line.option())
		cfg.DrainWait = 100 * time.Millisecond
		cfg.Caller = lettingGo(func() {
			if armed[i].Swap(false) {
				line.sever(true)
				letting <- i
			}
		})
		all[i] = start(t, cfg)
	}
	for i := range 2 {
		launchOne(i)
		a.load(400)
		eventually(t, "those that came have done all", a.drained)
	}
	eventually(t, "two share the partitions", func() bool { return all[1].runner.owned.Load() == 2 })
	armed[0].Store(true)
	armed[1].Store(true)
	ended := map[int]bool{}
	for _, comes := range []int{2, 3} {
		launchOne(comes)
		select {
		case i := <-letting:
			ended[i] = true
			if err := all[i].stop(); err != nil {
				t.Fatal(err)
			}
			launchOne(i)
		case <-time.After(patience):
			t.Fatal("nobody was to let go of anything")
		}
		a.load(400)
		eventually(t, "all partitions are at work", a.drained)
	}
	if !ended[0] || !ended[1] {
		t.Errorf("ended while they let go: %v, want 0 and 1", ended)
	}
	for _, r := range all {
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
	a.check()
}

// lettingGo is a Caller that is called when a partition leaves.
type lettingGo func()

func (lettingGo) Assigned(int32, pipeline.Reader, []pipeline.PendingCall) {}

func (lettingGo) Committed(int32, []pipeline.PendingCall, []pipeline.PendingCall) {}

func (l lettingGo) Revoked(context.Context, int32) { l() }
