//go:build linux

package state

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkSeen gives ids to eight partitions of one Pebble store as the runner does: transactions of
// 50,000 records, a save whenever five seconds of a full load have passed. One operation is one id. Run
// it with -benchtime=20000000x; it reports, beside the wall time, the processor time of the whole
// process per id, the first and the last million's, the changelog's bytes per id, the longest save of
// a partition and how long the partitions take to open again.
func BenchmarkSeen(b *testing.B) {
	for _, c := range []struct {
		name   string
		window time.Duration
		step   time.Duration // by which event time moves with each id
		dups   int           // of a hundred, anywhere in the last half hour of event time
	}{
		{"month/new", 31 * 24 * time.Hour, 2 * time.Microsecond, 0},
		{"month/dups", 31 * 24 * time.Hour, 2 * time.Microsecond, 10},
		{"hour600x/new", time.Hour, time.Millisecond, 0},
		{"hour600x/dups", time.Hour, time.Millisecond, 10},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := newSeenLoad(b, c.window)
			l.step, l.dups = c.step, c.dups
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			b.ReportAllocs()
			b.ResetTimer()
			l.run(b, b.N)
			b.StopTimer()
			l.report(b)
		})
	}
}

const (
	loadPartitions  = 8
	loadTransaction = 50_000
	loadSave        = 3_000_000 // ids between saves: five seconds at 600,000 a second
)

// seenLoad drives the seen ids of some partitions.
type seenLoad struct {
	store  *Store
	window time.Duration
	step   time.Duration
	dups   int
	parts  [loadPartitions]seen
	backs  [loadPartitions]Backing
	random *rand.Rand
	from   int64 // event time of the first id

	given, wrong    int
	fresh           [loadPartitions]int // new ids of each
	changelog       int
	records         int
	cpu             []time.Duration // after each million
	worst, worstCPU time.Duration   // longest save; most processor time of one, without the goroutines of Pebble
}

func newSeenLoad(b *testing.B, window time.Duration) *seenLoad {
	store, err := OpenStore(StoreConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	})
	l := &seenLoad{store: store, window: window, random: rand.New(rand.NewPCG(1, 2)), from: 1_700_000_000_000}
	for i := range l.parts {
		l.backs[i] = store.Backing("seen", int32(i))
	}
	l.open(b)
	return l
}

func (l *seenLoad) open(b *testing.B) {
	for i := range l.parts {
		if err := l.parts[i].load(l.backs[i], l.config()); err != nil {
			b.Fatal(err)
		}
	}
}

// id number n, as random as a hash.
func loadID(n uint64) (x id) {
	for i := range 2 {
		z := (2*n + uint64(i) + 1) * 0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(x[8*i:], z^z>>31)
	}
	return x
}

func (l *seenLoad) run(b *testing.B, n int) {
	unsaved := 0
	l.cpu = append(l.cpu, processorTime())
	for l.given < n {
		each := min(loadTransaction, n-l.given)
		began := l.given / 1_000_000
		for p := range l.parts {
			l.transaction(b, p, each/loadPartitions+1)
		}
		unsaved += each
		if unsaved >= loadSave {
			l.save(b)
			unsaved = 0
		}
		for range l.given/1_000_000 - began {
			l.cpu = append(l.cpu, processorTime())
		}
	}
	l.save(b)
}

// transaction gives n ids to a partition. Ids of a partition are those with its number modulo the count.
func (l *seenLoad) transaction(b *testing.B, p, n int) {
	s := &l.parts[p]
	var at int64
	for range n {
		at = l.from + int64(time.Duration(l.given)*l.step/time.Millisecond)
		number, known := l.fresh[p], false
		if l.dups > 0 && number > 0 && l.random.IntN(100) < l.dups {
			back := int(min(30*time.Minute/l.step/loadPartitions, time.Duration(number)))
			number, known = number-1-l.random.IntN(back), true
		}
		s.mark()
		x := loadID(uint64(number*loadPartitions + p))
		got, err := s.check(x[:], at, at)
		if err != nil {
			b.Fatal(err)
		}
		if got != known {
			l.wrong++
		}
		if !known {
			l.fresh[p]++
		}
		l.given++
	}
	s.seal(at, func(k, v []byte) {
		l.changelog += len(k) + len(v)
		l.records++
	})
	s.committed()
}

func (l *seenLoad) save(b *testing.B) {
	for i := range l.parts {
		began, cpu := time.Now(), threadTime()
		batch := l.backs[i].Batch()
		if err := l.parts[i].save(batch); err != nil {
			b.Fatal(err)
		}
		if err := batch.Apply(); err != nil {
			b.Fatal(err)
		}
		l.worst = max(l.worst, time.Since(began))
		l.worstCPU = max(l.worstCPU, threadTime()-cpu)
	}
}

func (l *seenLoad) report(b *testing.B) {
	ids := float64(l.given)
	cpu := func(from, to int) float64 {
		return float64((l.cpu[to] - l.cpu[from]).Nanoseconds()) / 1e6 / float64(to-from)
	}
	b.ReportMetric(float64(processorTime()-l.cpu[0])/ids, "cpu-ns/id")
	b.ReportMetric(float64(l.changelog)/ids, "changelog-B/id")
	b.ReportMetric(float64(l.worst.Milliseconds()), "worst-save-ms")
	b.ReportMetric(float64(l.worstCPU.Milliseconds()), "worst-save-cpu-ms")
	if l.wrong > 0 {
		b.Errorf("%d answers were wrong", l.wrong)
	}
	if last := len(l.cpu) - 1; last >= 1 {
		b.ReportMetric(cpu(0, 1), "cpu-ns/id-first")
		b.ReportMetric(cpu(max(last-3, 0), last), "cpu-ns/id-last")
		memory := 0
		for i := range l.parts {
			memory += l.parts[i].bytes()
		}
		b.ReportMetric(float64(memory)/ids, "resident-B/id")
		var all strings.Builder
		for i := range last {
			fmt.Fprintf(&all, " %.0f", cpu(i, i+1))
		}
		b.Logf("processor ns/id of each million:%s", all.String())
	}
	began, cpuBefore := time.Now(), processorTime()
	l.open(b)
	b.ReportMetric(float64((processorTime() - cpuBefore).Milliseconds()), "open-cpu-ms")
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "open-ms")
}

// processorTime of the whole process, user and system.
func processorTime() time.Duration { return usage(syscall.RUSAGE_SELF) }

// threadTime is that of the thread, to which its goroutine is locked.
func threadTime() time.Duration { return usage(syscall.RUSAGE_THREAD) }

func usage(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (l *seenLoad) config() *Config {
	return &Config{Partitions: loadPartitions, SeenWindow: l.window, SeenInMemory: spillIDs, MaxRecordBytes: 1 << 20}
}
