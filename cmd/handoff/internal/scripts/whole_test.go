package scripts

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/kafka/kafkatest"
	"github.com/handoff-dev/handoff/pipeline/script"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// whole is a run of many scripts at once through the whole pipeline.
type whole struct {
	plant   *plant
	crew    *crew
	plans   []*plan
	worlds  []*script.Remote
	shops   map[string]*script.Remote
	at      []int // the step that each is at
	began   []bool
	out     [][]string
	rounds  int
	strikes int // left
	kills   int // of them
	doing   string
}

// moments at which something happens in any of the scripts, in order.
func (w *whole) moments() []time.Time {
	all := map[time.Time]bool{}
	for _, p := range w.plans {
		for _, s := range p.steps {
			all[s.at], all[s.end] = true, true
			for _, m := range s.moments {
				all[m] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), time.Time.Compare)
}

// run plays all scripts, each command at the time it had in memory.
func (w *whole) run(ctx context.Context) error {
	moments := w.moments()
	for i, now := range moments {
		w.end(now)
		w.plant.clock.Store(now.UnixNano())
		for _, world := range w.worlds {
			world.At(now)
		}
		w.plant.tick()
		if err := w.quiet(ctx, len(moments)-i); err != nil {
			return fmt.Errorf("at %s: %w", now.Format(time.DateTime), err)
		}
		if err := w.begin(now); err != nil {
			return err
		}
		if err := w.quiet(ctx, len(moments)-i); err != nil {
			return fmt.Errorf("at %s: %w", now.Format(time.DateTime), err)
		}
	}
	w.end(moments[len(moments)-1].Add(time.Second))
	return nil
}

// end ends the commands that have played out.
func (w *whole) end(now time.Time) {
	for i, p := range w.plans {
		if w.began[i] && now.After(p.steps[w.at[i]].end) {
			w.out[i] = append(w.out[i], w.worlds[i].End())
			w.at[i], w.began[i] = w.at[i]+1, false
		}
	}
}

// begin begins the commands whose time has come.
func (w *whole) begin(now time.Time) error {
	for i, p := range w.plans {
		if w.at[i] == len(p.steps) || w.began[i] || now.Before(p.steps[w.at[i]].at) {
			continue
		}
		w.began[i] = true
		if err := w.worlds[i].Begin(p.file.Steps[w.at[i]].Command); err != nil {
			return fmt.Errorf("%s:%d: %w", p.name, p.file.Steps[w.at[i]].Line, err)
		}
	}
	return nil
}

// quiet posts what is buffered and lets the stages and the outside answer each other until nothing is left
// to do. left is how many moments are to come, over which strikes are spread.
func (w *whole) quiet(ctx context.Context, left int) error {
	for {
		w.rounds++
		struck := w.strikes > 0 && w.plant.rand.IntN(2*left) < w.strikes
		hit := make(chan error, 1)
		if struck {
			w.strikes--
			kill := w.kills > 0
			go func() { hit <- w.crew.strike(kill) }()
		}
		w.doing = "posting"
		if err := w.plant.flush(ctx, func() {}); err != nil {
			return err
		}
		if struck {
			w.doing = "waiting for what befalls the stages"
			if err := <-hit; err != nil {
				return fmt.Errorf("what befell the stages: %w", err)
			}
		}
		w.doing = "waiting for the stages to come to rest"
		if err := w.plant.settle(ctx); err != nil {
			return err
		}
		if err := w.plant.given(ctx, w.shops); err != nil {
			return err
		}
		w.doing = "waiting for the owners of deliver's partitions"
		if err := w.plant.told(ctx); err != nil {
			return err
		}
		w.doing = "making calls"
		for _, world := range w.worlds {
			if _, err := world.Release(); err != nil {
				return err
			}
		}
		if len(w.plant.posts) == 0 {
			return nil
		}
	}
}

// differences of each script's outcome from memory's, by name: what happened at its commands, what came after
// them, and the state that the stages were left with.
func (w *whole) differences(ctx context.Context) (map[string]string, error) {
	different := map[string]string{}
	for i, p := range w.plans {
		if diff := p.differs(w.out[i]); diff != "" {
			different[p.name] = diff
		} else if more := w.worlds[i].End(); more != "nothing\n" {
			different[p.name] = "after its end:\n" + more
		}
	}
	kept, err := w.plant.entries(ctx)
	if err != nil {
		return nil, err
	}
	for i, p := range w.plans {
		if different[p.name] != "" {
			continue
		}
		left := map[string]string{}
		for key := range w.plant.keys {
			if shop, _, _ := strings.Cut(key, "|"); shop != w.worlds[i].Shop() {
				continue
			}
			for _, s := range p.topology.Stages {
				err := p.world.Entries(s.Name(), []byte(key), "", func(name string, value []byte) bool {
					left[s.Name()+" "+key+" "+name] = string(value)
					return true
				})
				if err != nil {
					return nil, err
				}
			}
		}
		found := kept[w.worlds[i].Shop()]
		if crossing[p.name] != "" {
			for _, entries := range []map[string]string{left, found} {
				for name := range entries {
					entries[name] = ""
				}
			}
		}
		different[p.name] = stateDiffers(left, found)
	}
	maps.DeleteFunc(different, func(_, diff string) bool { return diff == "" })
	return different, nil
}

// crossing are scripts in which events of several people cross, and what depends on which comes first: of
// their states only the names of the entries are compared.
var crossing = map[string]string{
	"W7_three_addresses": "from which of two linked addresses a third one hears first of an opt-out, and so what its ledger names as the source",
}

// stateDiffers compares the entries that the stages keep; places of records are not compared.
func stateDiffers(want, got map[string]string) string {
	same := func(v string) string { return place.ReplaceAllString(v, "") }
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[name]; !ok {
			fmt.Fprintf(&b, "state: %s is not there\n", name)
		} else if same(v) != same(want[name]) {
			fmt.Fprintf(&b, "state: %s is %q, want %q\n", name, v, want[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			fmt.Fprintf(&b, "state: %s is there and should not be\n", name)
		}
	}
	return b.String()
}

// trial is one run of scripts on brokers.
type trial struct {
	to             kafka.Connection
	static         bool // members keep their names; kfake needs new ones
	seed           uint64
	strikes, kills int
	// breaks a stage on purpose; nil: none.
	breaks func(*script.Topology)
	// idle: no member runs the stages, on purpose.
	idle bool
}

// run plays plans and returns how each differs from memory, by name.
func (c trial) run(ctx context.Context, t *testing.T, all []*plan) map[string]string {
	t.Helper()
	different, err := c.play(ctx, t, all)
	if err != nil {
		t.Fatalf("seed %d: %v", c.seed, err)
	}
	return different
}

// play is run where the run may not come to its end: the error says who waits for what.
func (c trial) play(ctx context.Context, t *testing.T, all []*plan) (map[string]string, error) {
	t.Helper()
	p, err := newPlant(ctx, c.to, rand.New(rand.NewPCG(c.seed, 0)))
	if err != nil {
		return nil, err
	}
	defer p.close()
	ctx = p.ctx
	stages := script.Topology{Stages: slices.Clone(all[0].topology.Stages)}
	if c.breaks != nil {
		c.breaks(&stages)
	}
	w := &whole{plant: p, crew: newCrew(p, stages.Stages, c.static), plans: all, shops: map[string]*script.Remote{},
		at: make([]int, len(all)), began: make([]bool, len(all)), out: make([][]string, len(all)), strikes: c.strikes, kills: c.kills}
	p.holds.wanted = slices.ContainsFunc(all, holdsStages)
	p.clock.Store(all[0].steps[0].at.UnixNano())
	for _, plan := range all {
		world, err := script.NewRemote(plan.topology, p)
		if err != nil {
			return nil, err
		}
		w.worlds, w.shops[world.Shop()] = append(w.worlds, world), world
	}
	if !c.idle {
		if err := w.crew.start(0); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err := w.crew.close(); err != nil {
			t.Error(err)
		}
	}()
	began := time.Now()
	if err := w.run(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, w.stuck(ctx))
	}
	different, err := w.differences(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.everyRowOnce(); err != nil {
		t.Errorf("seed %d: %v", c.seed, err)
	}
	commands := 0
	for _, plan := range all {
		commands += len(plan.steps)
	}
	t.Logf("seed %d: %d scripts, %d commands at %d moments, %d rounds, %d rows; what befell the stages: %v; %d scripts went elsewhere, in %.1f s",
		c.seed, len(all), commands, len(w.moments()), w.rounds, len(p.rows.seen), w.crew.befell, len(different), time.Since(began).Seconds())
	return different, nil
}

// seedOf is what HANDOFF_SEED says, or the given one.
func seedOf(t *testing.T, otherwise uint64) uint64 {
	t.Helper()
	v := os.Getenv("HANDOFF_SEED")
	if v == "" || v == "0" {
		return otherwise
	}
	seed, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("HANDOFF_SEED: %v", err)
	}
	return seed
}

// onFake runs a trial on an in-memory Kafka.
func onFake(t *testing.T, c trial, all []*plan) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c.to = fakeKafka(t)
	return c.run(ctx, t, all)
}

// fakeKafka starts an in-memory Kafka for as long as the test runs.
func fakeKafka(t *testing.T) kafka.Connection {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return kafka.Connection{Brokers: cluster.ListenAddrs()}
}

// tell reports scripts that went elsewhere, the first few in full.
func tell(t *testing.T, seed uint64, different map[string]string) {
	t.Helper()
	names := slices.Sorted(maps.Keys(different))
	if len(names) > 0 {
		t.Errorf("seed %d: %d scripts end in another way than in memory: %s", seed, len(names), strings.Join(names, ", "))
	}
	for _, name := range names[:min(len(names), 3)] {
		t.Errorf("%s:\n%s", name, different[name])
	}
}

// TestScriptsOnKafka runs all scripts at once through the whole pipeline on an in-memory Kafka: five groups,
// the runner, state on Pebble. What they say comes in random batches, and stages restart, with their state
// and without, are killed, and share their partitions with others meanwhile. Each script ends as in memory.
func TestScriptsOnKafka(t *testing.T) {
	t.Parallel()
	seed := seedOf(t, 20)
	tell(t, seed, onFake(t, trial{seed: seed, strikes: 8, kills: 2}, plans(t, nil)))
}

// TestHeldScriptsOnKafka does the same with each script that holds a stage, by itself.
func TestHeldScriptsOnKafka(t *testing.T) {
	t.Parallel()
	for _, p := range allPlans(t, holdsStages, nil) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel() // they wait more than they compute
			seed := seedOf(t, 22)
			tell(t, seed, onFake(t, trial{seed: seed, strikes: 3, kills: 1}, []*plan{p}))
		})
	}
}

// TestYearsOnKafka does the same with scripts that take years by their own clock.
func TestYearsOnKafka(t *testing.T) {
	t.Parallel()
	seed := seedOf(t, 21)
	tell(t, seed, onFake(t, trial{seed: seed, strikes: 8, kills: 2}, plansOf(t, years, nil)))
}

// TestRealKafkaScripts does the same on a real broker, as often as HANDOFF_ROUNDS says, each time with a
// cluster of its own and the next seed.
func TestRealKafkaScripts(t *testing.T) {
	onReal(t, func() []*plan { return plans(t, nil) })
}

// TestRealKafkaYears does so with scripts that take years.
func TestRealKafkaYears(t *testing.T) {
	onReal(t, func() []*plan { return plansOf(t, years, nil) })
}

// TestRealKafkaHeldScripts does so with each script that holds a stage, by itself, once.
func TestRealKafkaHeldScripts(t *testing.T) {
	realOrSkip(t)
	seed := seedOf(t, uint64(time.Now().UnixNano()))
	for _, p := range allPlans(t, holdsStages, nil) {
		t.Run(p.name, func(t *testing.T) {
			oneReal(t, trial{seed: seed, strikes: 3, kills: 3}, []*plan{p})
		})
	}
}

func onReal(t *testing.T, of func() []*plan) {
	t.Helper()
	realOrSkip(t)
	rounds := 1
	if v := os.Getenv("HANDOFF_ROUNDS"); v != "" {
		var err error
		if rounds, err = strconv.Atoi(v); err != nil {
			t.Fatalf("HANDOFF_ROUNDS: %v", err)
		}
	}
	all, seed := of(), seedOf(t, uint64(time.Now().UnixNano()))
	for n := range uint64(rounds) {
		t.Run(fmt.Sprint(seed+n), func(t *testing.T) {
			oneReal(t, trial{seed: seed + n, strikes: 24, kills: 24}, all)
		})
	}
}

func realOrSkip(t *testing.T) {
	t.Helper()
	if os.Getenv("HANDOFF_TEST_KAFKA") != "start" {
		t.Skip("HANDOFF_TEST_KAFKA=start has the test start a broker")
	}
}

// oneReal runs a trial on a real broker of its own.
func oneReal(t *testing.T, one trial, all []*plan) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	c := kafkatest.ForTest(t, kafkatest.Config{})
	one.to, one.static = kafka.Connection{Brokers: c.Brokers()}, true
	tell(t, one.seed, one.run(ctx, t, all))
}

// TestBrokenScriptsOnKafka: a stage that does something else on Kafka than in memory is found out.
func TestBrokenScriptsOnKafka(t *testing.T) {
	t.Parallel()
	all := plans(t, func(name string) bool { return strings.HasPrefix(name, "C2_") || strings.HasPrefix(name, "H3_") })
	for name, how := range map[string]func(*script.Topology){
		"a note is not written": drops(schemas.StageEscalate, func(r *handoffv1.Record) bool { return r.GetCommand().GetAddNote() != nil }),
		"a text is asked for twice": breaks(schemas.StageEscalate, func(_ *pipeline.Input, _ pipeline.State, fx *pipeline.Effects) {
			for _, e := range slices.Clone(fx.Emits) {
				if r := decode(e.Key, e.Value); r.GetCommand().GetSendText() != nil {
					r.Id = schemas.EffectID(r.GetId(), "broken", 0)
					value, err := schemas.Encode(r)
					if err != nil {
						panic(err) // it was one before
					}
					fx.Emit(schemas.TopicDeliver, e.Key, value)
				}
			}
		}),
		"state is forgotten": breaks(schemas.StageConsent, forgetLine),
	} {
		t.Run(name, func(t *testing.T) {
			if different := onFake(t, trial{seed: 1, breaks: how}, all); len(different) == 0 {
				t.Error("nothing shows it")
			}
		})
	}
}
