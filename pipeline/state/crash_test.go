package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// ledger is one partition's life without Kafka: a stage that uses every kind of state, the changelog of
// what was committed, and what a reader of the state would see.
type ledger struct {
	t      *testing.T
	random *rand.Rand
	log    []logged
	next   int64
	at     time.Time
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, random: rand.New(rand.NewPCG(7, 7)), at: start}
}

// busy writes wide entries, so that one save is more than one write to the disk.
func busy() pipeline.Stage {
	return stageFunc(func(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
		if in.Timer != nil {
			st.Put("fired", []byte(in.Timer.Name))
			return nil
		}
		if st.Seen(in.Record.Value, in.Now) {
			return nil
		}
		n := int(in.Record.Value[0])
		was, _ := st.Get(fmt.Sprint("wide", n%5))
		st.Put(fmt.Sprint("wide", n%5), bytes.Repeat([]byte{byte(n + len(was))}, 6000))
		if n%4 == 0 {
			st.Delete(fmt.Sprint("wide", (n+1)%5))
		}
		fx.SetTimer(fmt.Sprint("t", n%7), in.Now.Add(time.Duration(n%11)*time.Millisecond))
		if n%3 == 0 {
			fx.Call(pipeline.Call{ID: fmt.Sprintf("%s%d", in.Key, n%4), Body: []byte{byte(n)}})
		} else {
			fx.EndCall(fmt.Sprintf("%s%d", in.Key, (n+1)%4))
		}
		return nil
	})
}

func busyConfig() state.Config {
	return state.Config{Stage: busy(), Partitions: 1, CacheBytes: 80 << 10, SeenInMemory: 8}
}

const busyKeys = 5

// transaction processes some records and gives its changelog to the log, if it is to be committed.
func (l *ledger) transaction(p *state.Partition) error {
	for range 1 + l.random.IntN(6) {
		l.at = l.at.Add(time.Duration(l.random.IntN(5)) * time.Millisecond)
		r := &pipeline.Record{Topic: "t", Offset: l.next, Key: fmt.Appendf(nil, "k%d", l.random.IntN(busyKeys)),
			Value: []byte{byte(l.random.IntN(250)), byte(l.next), byte(l.next >> 8)}, Time: l.at}
		if err := p.Process(r, l.at, nil, false); err != nil {
			return err
		}
		l.next++
	}
	p.TakeEmits()
	p.TakeFailures()
	p.Seal(func(key, value []byte) {
		// A deletion is nil; an empty value is not.
		l.log = append(l.log, logged{bytes.Clone(key), append(value[:0:0], value...)})
		if value != nil && l.log[len(l.log)-1].value == nil {
			l.log[len(l.log)-1].value = []byte{}
		}
	})
	p.Committed(int64(len(l.log)))
	return nil
}

// replay applies the log from one offset to another.
func (l *ledger) replay(back state.Backing, from, to int64) error {
	return l.replayWith(busyConfig(), back, from, to)
}

func (l *ledger) replayWith(cfg state.Config, back state.Backing, from, to int64) error {
	r, err := state.NewReplay(cfg, back)
	if err != nil {
		return err
	}
	for i := from; i < to; i++ {
		if err := r.Apply(l.log[i].key, l.log[i].value, i, start); err != nil {
			return err
		}
	}
	return r.Finish()
}

// seen lists what can be read of a backing.
func (l *ledger) seen(back state.Backing) string {
	l.t.Helper()
	var all []string
	for i := range busyKeys {
		key := fmt.Appendf(nil, "k%d", i)
		if err := state.ScanEntries(back, key, "", func(name string, value []byte) bool {
			all = append(all, fmt.Sprintf("%s/%s=%d*%d", key, name, value[0], len(value)))
			return true
		}); err != nil {
			l.t.Fatal(err)
		}
	}
	p, err := state.NewPartition(busyConfig(), back)
	if err != nil {
		l.t.Fatal(err)
	}
	calls, err := p.PendingCalls()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, c := range calls {
		all = append(all, fmt.Sprintf("call %s %d", c.Call.ID, c.Call.Body))
	}
	if at, ok := p.NextTimer(); ok {
		all = append(all, fmt.Sprint("timer ", at.UnixMilli()))
	}
	if err := p.Close(); err != nil {
		l.t.Fatal(err)
	}
	return fmt.Sprintf("%+v %s", p.Position(), strings.Join(all, " "))
}

// upTo is what can be read of the log's beginning.
func (l *ledger) upTo(offset int64) string {
	l.t.Helper()
	back := state.Memory()
	if err := l.replay(back, 0, offset); err != nil {
		l.t.Fatal(err)
	}
	return l.seen(back)
}

// loggedFS calls a hook around every write to files of some kinds.
type loggedFS struct {
	*vfs.MemFS
	hook  *atomic.Pointer[func()]
	kinds []string // what is in their names
}

func (f *loggedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.MemFS.Create(name, category)
	if err != nil || !slices.ContainsFunc(f.kinds, func(kind string) bool { return strings.Contains(name, kind) }) {
		return file, err
	}
	return loggedFile{file, f.hook}, nil
}

type loggedFile struct {
	vfs.File
	hook *atomic.Pointer[func()]
}

func (f loggedFile) Write(b []byte) (int, error) {
	if fn := f.hook.Load(); fn != nil {
		(*fn)()
	}
	n, err := f.File.Write(b)
	if fn := f.hook.Load(); fn != nil {
		(*fn)()
	}
	return n, err
}

// TestPowerLoss: whenever the power goes, before, in the midst of and after the writes of a save, what is
// left is the state of one transaction that was committed, whole, and the changelog from its place on
// brings it to the end.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	fs := &loggedFS{vfs.NewCrashableMem(), &atomic.Pointer[func()]{}, []string{".log"}}
	store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	l := newLedger(t)
	cut := rand.New(rand.NewPCG(3, 3))
	var left []*vfs.MemFS
	seize := func() {
		if len(left) < 16 && cut.IntN(2) == 0 {
			left = append(left, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 30, 60, 100}[len(left)%4], RNG: cut}))
		}
	}
	fs.hook.Store(&seize)
	p, err := state.NewPartition(busyConfig(), store.Backing("s", 0))
	if err != nil {
		t.Fatal(err)
	}
	for range 90 {
		if err := l.transaction(p); err != nil {
			t.Fatal(err)
		}
		if l.random.IntN(3) > 0 {
			if err := p.Save(start); err != nil {
				t.Fatal(err)
			}
		}
	}
	fs.hook.Store(nil)
	if err := errors.Join(p.Close(), store.Close()); err != nil {
		t.Fatal(err)
	}
	l.recovers(left, 4)
}

// recovers holds what is left of a store at several moments against the log. At how many transactions they
// are at least tells whether that shows anything.
func (l *ledger) recovers(left []*vfs.MemFS, least int) {
	t := l.t
	t.Helper()
	whole, older := l.upTo(int64(len(l.log))), map[state.Position]bool{}
	for i, fs := range left {
		store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: fs})
		if err != nil {
			t.Fatalf("clone %d: %v", i, err)
		}
		back := store.Backing("s", 0)
		at, resume, err := state.ReadPosition(back)
		if err != nil {
			t.Fatalf("clone %d: %v", i, err)
		}
		older[at] = true
		if got, want := l.seen(back), l.upTo(resume.Next); got != want {
			t.Fatalf("clone %d is at transaction %d, changelog offset %d:\n%s\nwant\n%s", i, at.Number, resume.Next, got, want)
		}
		if err := l.replay(back, resume.Next, int64(len(l.log))); err != nil {
			t.Fatalf("clone %d: %v", i, err)
		}
		if got := l.seen(back); got != whole {
			t.Fatalf("clone %d, replayed to the end:\n%s\nwant\n%s", i, got, whole)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		files, err := fs.List("db")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasPrefix(name, "load-") {
				t.Errorf("clone %d: %s was left", i, name)
			}
		}
	}
	if len(left) < 10 || len(older) < least {
		t.Errorf("%d moments at %d transactions: this test shows little", len(left), len(older))
	}
}

// TestPowerLossInLoad: the same while a changelog is replayed, the first part of it in batches and the rest
// in files that the database takes, the last of which is over entries of all that came before.
func TestPowerLossInLoad(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	p, err := state.NewPartition(busyConfig(), state.Memory())
	if err != nil {
		t.Fatal(err)
	}
	for range 120 {
		if err := l.transaction(p); err != nil {
			t.Fatal(err)
		}
	}
	fs := &loggedFS{vfs.NewCrashableMem(), &atomic.Pointer[func()]{}, []string{".log", "MANIFEST", "load-"}}
	store, err := state.OpenStore(state.StoreConfig{Dir: "db", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	cut := rand.New(rand.NewPCG(3, 3))
	var left []*vfs.MemFS
	var mu sync.Mutex // of left: the database writes from several goroutines
	seize := func() {
		mu.Lock()
		defer mu.Unlock()
		if len(left) < 60 && cut.IntN(4) == 0 {
			left = append(left, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 30, 60, 100}[len(left)%4], RNG: cut}))
		}
	}
	back, end := store.Backing("s", 0), int64(len(l.log))
	for _, part := range []struct {
		to, collect int
	}{{len(l.log) / 3, 8 << 20}, {len(l.log), 20_000}} {
		cfg := busyConfig()
		cfg.ReplayBytes = part.collect
		_, resume, err := state.ReadPosition(back)
		if err == nil {
			err = l.replayWith(cfg, back, resume.Next, int64(part.to))
		}
		if err != nil {
			t.Fatal(err)
		}
		fs.hook.Store(&seize) // from the second part on
	}
	fs.hook.Store(nil)
	if got, want := l.seen(back), l.upTo(end); got != want {
		t.Fatalf("replayed:\n%s\nwant\n%s", got, want)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	l.recovers(left, 4)
}

var errDisk = errors.New("the disk is at fault")

// faulty fails the n-th thing asked of a backing.
type faulty struct {
	state.Backing
	left *int  // until it fails; below 0 it never does again
	late bool  // a batch fails after it was applied
	hit  *bool // it has failed
}

func (f faulty) fails() bool {
	*f.left--
	if *f.left == 0 {
		*f.hit = true
	}
	return *f.left == 0
}

func (f faulty) Get(key []byte) ([]byte, bool, error) {
	if f.fails() {
		return nil, false, errDisk
	}
	return f.Backing.Get(key)
}

func (f faulty) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	if f.fails() {
		return errDisk
	}
	return f.Backing.Scan(lower, upper, fn)
}

func (f faulty) Before(lower, upto []byte) ([]byte, error) {
	if f.fails() {
		return nil, errDisk
	}
	return f.Backing.Before(lower, upto)
}

func (f faulty) Cursor() (state.Cursor, error) {
	if f.fails() {
		return nil, errDisk
	}
	c, err := f.Backing.Cursor()
	return faultyCursor{c, f}, err
}

func (f faulty) Batch() state.Batch { return faultyBatch{f.Backing.Batch(), f} }

type faultyCursor struct {
	state.Cursor
	f faulty
}

func (c faultyCursor) Prefix(prefix []byte, fn func(key, value []byte) bool) error {
	if c.f.fails() {
		return errDisk
	}
	return c.Cursor.Prefix(prefix, fn)
}

type faultyBatch struct {
	state.Batch
	f faulty
}

func (b faultyBatch) Apply() error {
	fails := b.f.fails()
	if fails && !b.f.late {
		return errDisk
	}
	if err := b.Batch.Apply(); err != nil {
		return err
	}
	if fails {
		return errDisk
	}
	return nil
}

// TestDiskFaults: whatever a backing fails at, the error comes out at once, and the partition opened
// again and brought up to date from its changelog goes on as if nothing had been.
func TestDiskFaults(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		failed := 0
		for n := 1; ; n++ {
			hit := diskFault(t, n, late)
			if !hit {
				break // that many things are never asked
			}
			failed++
		}
		if failed < 40 {
			t.Errorf("only %d faults were tried", failed)
		}
	}
}

// diskFault runs with the n-th operation failing, and tells whether there was one.
func diskFault(t *testing.T, n int, late bool) (hit bool) {
	t.Helper()
	l := newLedger(t)
	back := state.Memory()
	f := faulty{Backing: back, left: &n, late: late, hit: &hit}
	var p *state.Partition
	reopen := func() {
		t.Helper()
		_, resume, err := state.ReadPosition(back)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.replay(back, resume.Next, int64(len(l.log))); err != nil {
			t.Fatal(err)
		}
		if p, err = state.NewPartition(busyConfig(), f); err != nil {
			t.Fatal(err)
		}
		l.next = p.Next()
	}
	p, err := state.NewPartition(busyConfig(), f)
	if err != nil {
		if !errors.Is(err, errDisk) {
			t.Fatalf("open: %v", err)
		}
		reopen()
	}
	for range 40 {
		was := hit
		err := l.transaction(p)
		if err == nil {
			err = p.Save(start)
		}
		switch {
		case hit == was && err != nil:
			t.Fatalf("an error without a fault: %v", err)
		case hit == was:
		case err == nil:
			t.Fatal("a fault was not told")
		case !errors.Is(err, errDisk):
			t.Fatalf("another error: %v", err)
		default:
			reopen()
		}
	}
	_, resume, err := state.ReadPosition(back)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := l.seen(back), l.upTo(int64(len(l.log))); got != want || resume.Next != int64(len(l.log)) {
		t.Fatalf("after the fault:\n%s\nwant\n%s", got, want)
	}
	return hit
}
