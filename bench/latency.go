package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/kafka"
)

const (
	// latencyWarm passes before latencies count: JIT, caches.
	latencyWarm = 20 * time.Second
	// latencySpan is how long they count.
	latencySpan = 30 * time.Second
	// latencyDrain is how long the last outputs may take.
	latencyDrain = 60 * time.Second
	// loadShare of Kafka Streams' own drain rate is the load; loadStep less where it cannot follow.
	loadShare, loadStep, loadLeast = 0.7, 0.1, 0.2
)

// followed is how late the median output of the first third and of the last may be where a side follows the load.
const followed = time.Second

// errBehind says that a side did not follow the load.
var errBehind = errors.New("the side did not follow the load")

// latencyRound sends the same load to every side. The load is found once per experiment: that share of
// Kafka Streams' capacity which Kafka Streams can follow beside the programs that make and read the
// load.
func (s *suite) latencyRound(ctx context.Context, e experiment, sides []string, round int) error {
	offered := s.results.spread(e.Name, sideStreams, metricOffered).median
	if offered == 0 {
		capacity := s.results.spread(e.Capacity, sideStreams, metricRate).median
		if capacity == 0 {
			return fmt.Errorf("%s of Kafka Streams is not measured yet", e.Capacity)
		}
		// Kafka Streams comes first, as it sets the load.
		for share := loadShare; ; share -= loadStep {
			offered = share * capacity
			err := s.latencyRun(ctx, e, sideStreams, round, offered, share-loadStep >= loadLeast)
			if err == nil {
				break
			}
			if !errors.Is(err, errBehind) {
				return err
			}
			fmt.Printf("%s: Kafka Streams does not follow %.0f records/s, %.0f %% of its capacity\n", e.Name, offered, share*100)
		}
	}
	for _, side := range sides {
		if s.results.has(e.Name, side, round) {
			continue
		}
		if err := s.latencyRun(ctx, e, side, round, offered, false); err != nil {
			return fmt.Errorf("%s at %.0f records/s: %w", side, offered, err)
		}
	}
	return nil
}

// latencyRun is one side under the load. With strict a side that does not follow it is errBehind and
// leaves no figures; otherwise its backlog is what its figures show.
func (s *suite) latencyRun(ctx context.Context, e experiment, side string, round int, offered float64, strict bool) (err error) {
	w := e.workload
	w.Records = int(offered * (latencyWarm + latencySpan).Seconds())
	in := input{workload: w, name: s.cluster.freshName()}
	in.topic = "handoff." + in.name
	if err := s.cluster.create(ctx, in.topic, w.Partitions, nil); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.cluster.remove(ctx, in.name)) }()
	spec, err := s.spec(ctx, in, side)
	if err != nil {
		return err
	}
	spec.LowLatency = true
	defer func() { err = errors.Join(err, s.sweep(ctx, spec)) }()
	bounded, cancel := context.WithTimeout(ctx, e.Limit)
	defer cancel()
	p, err := startSide(bounded, spec)
	if err != nil {
		return err
	}
	l, err := s.load(bounded, in, spec, p, offered, strict)
	if err != nil {
		return errors.Join(err, fmt.Errorf("%s", p.log.String()), p.kill())
	}
	if err := p.stop(); err != nil {
		return err
	}
	if last := l.late.at(.5); strict && last > followed {
		return fmt.Errorf("%w: half of the last outputs came more than %s late", errBehind, last.Round(time.Millisecond))
	}
	if err := w.check(ctx, s.cluster, spec.Out, w.Records, side != sidePass); err != nil {
		return fmt.Errorf("its result is wrong: %w", err)
	}
	return s.note(e, side, round, append(l.figures(), figure{Metric: metricOffered, Value: offered, Unit: "records/s"}))
}

// latencies of one run.
type latencies struct {
	all         histogram
	early, late histogram // of the first and the last third
	cpu         float64   // us of the side's process per record
	memory      int64
	// strict ends the run when the side is behind. up is closed when a first record is out; from counted on latencies
	// count.
	strict  bool
	up      chan struct{}
	counted chan time.Time
}

func (l *latencies) figures() []figure {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return []figure{
		{Metric: metricP50, Value: ms(l.all.at(.5)), Unit: "ms"},
		{Metric: metricP99, Value: ms(l.all.at(.99)), Unit: "ms"},
		{Metric: metricP999, Value: ms(l.all.at(.999)), Unit: "ms"},
		{Metric: metricMax, Value: ms(l.all.largest), Unit: "ms"},
		{Metric: metricGrowth, Value: l.growth(), Unit: "ratio"},
		{Metric: metricCPU, Value: l.cpu, Unit: "us/record"},
		{Metric: metricMemory, Value: float64(l.memory) / (1 << 20), Unit: "MiB"},
	}
}

// growth is how much later the median output of the last third was than that of the first: about 1
// where the side follows the load.
func (l *latencies) growth() float64 {
	return float64(l.late.at(.5)) / float64(max(l.early.at(.5), time.Millisecond))
}

// load sends the input at its rate and reads what comes out. The clock starts when the side has answered a first record:
// how long it takes to start is no record's latency. From then on a record's latency counts from the moment at which it
// should have been sent, whether or not the sender was late: a stall hits all records that fall into it, not only the one
// that was under way. With strict it ends as soon as the side is behind.
func (b *bench) load(ctx context.Context, in input, s sideSpec, p *process, offered float64, strict bool) (*latencies, error) {
	out, err := openLoad(b, in)
	if err != nil {
		return nil, err
	}
	defer out.client.Close()
	l := &latencies{strict: strict, up: make(chan struct{}), counted: make(chan time.Time, 1)}
	sending, halt := context.WithCancel(ctx)
	defer halt()
	read := make(chan error, 1)
	go func() {
		err := b.readLoad(ctx, in, s, l)
		if err != nil {
			halt() // nobody reads what more would be sent
		}
		read <- err
	}()
	failed := func(err error) error {
		if sending.Err() != nil && ctx.Err() == nil {
			return <-read
		}
		return err
	}
	now := time.Now()
	if err := out.send(sending, 0, 1, func(int) time.Time { return now }); err != nil {
		return nil, failed(err)
	}
	select {
	case <-l.up:
	case <-p.ended:
		return nil, p.alive()
	case <-sending.Done():
		return nil, failed(ctx.Err())
	}
	began := time.Now()
	l.counted <- began.Add(latencyWarm)
	cpu := make(chan time.Duration, 1)
	timer := time.AfterFunc(latencyWarm, func() {
		used, err := p.cpu()
		if err != nil {
			used = 0
		}
		cpu <- used
	})
	defer timer.Stop()
	due := func(i int) time.Time { return began.Add(time.Duration(float64(i) / offered * 1e9)) }
	if err := out.send(sending, 1, in.Records, due); err != nil {
		return nil, failed(err)
	}
	select {
	case err := <-read:
		if err != nil {
			return nil, err
		}
	case <-p.ended:
		return nil, p.alive()
	}
	used, err := p.cpu()
	if err != nil {
		return nil, err
	}
	l.cpu = float64((used - <-cpu).Microseconds()) / float64(l.all.n)
	if l.memory, err = p.peakMemory(); err != nil {
		return nil, err
	}
	return l, nil
}

// sender writes the input of an open-loop run.
type sender struct {
	in     input
	client *kgo.Client
	text   []byte
	failed firstError
}

func openLoad(b *bench, in input) (*sender, error) {
	compression, err := compressionCodec(b.compression)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.brokers...), kgo.RecordPartitioner(kafka.ByKey()),
		kgo.MaxBufferedRecords(1_000_000), kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerLinger(time.Millisecond),
		kgo.ProducerBatchCompression(compression), kgo.DefaultProduceTopic(in.topic))
	if err != nil {
		return nil, fmt.Errorf("configure the load: %w", err)
	}
	return &sender{in: in, client: client, text: words()}, nil
}

// send produces the records from one to before another, each when it is due, as far as the machine lets it.
func (s *sender) send(ctx context.Context, from, to int, due func(int) time.Time) error {
	for i := from; i < to && s.failed.get() == nil; {
		now := time.Now()
		for ; i < to && !due(i).After(now); i++ {
			j, at := s.in.origin(i), due(i)
			r := &kgo.Record{Key: s.in.appendKey(nil, s.in.keyOf(j)), Value: s.in.appendValue(nil, j, s.text), Timestamp: at}
			binary.BigEndian.PutUint64(r.Value[stampAt:], uint64(at.UnixNano()))
			s.client.Produce(ctx, r, s.failed.promise)
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("sent %d of %d records: %w", i, to, ctx.Err())
		}
	}
	err := s.client.Flush(ctx)
	if err = errors.Join(s.failed.get(), err); err != nil {
		return fmt.Errorf("send the load: %w", err)
	}
	return nil
}

// readLoad reads the output as any consumer downstream would, committed records only, and takes the latencies of what
// was due once they count. With strict it gives up when the first of them are in and half of them were late.
func (b *bench) readLoad(ctx context.Context, in input, s sideSpec, l *latencies) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.brokers...), kgo.ConsumeTopics(s.Out),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return fmt.Errorf("configure the reader: %w", err)
	}
	defer client.Close()
	at, want := 8+stampAt, in.distinct(in.Records)
	if s.Side == sidePass {
		at, want = stampAt, in.Records
	}
	for client.PollFetches(ctx).NumRecords() == 0 {
		if ctx.Err() != nil {
			return fmt.Errorf("no output of the first record: %w", ctx.Err())
		}
	}
	close(l.up)
	var counted time.Time
	select {
	case counted = <-l.counted:
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, stop := context.WithDeadline(ctx, counted.Add(latencySpan+latencyDrain))
	defer stop()
	third := latencySpan / 3
	for got := 1; got < want; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %d of %d outputs within %s after the last input", errBehind, got, want, latencyDrain)
		}
		now := time.Now()
		var bad error
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			if len(r.Value) < at+8 {
				bad = fmt.Errorf("an output of %d bytes at %d/%d", len(r.Value), r.Partition, r.Offset)
				return
			}
			due := time.Unix(0, int64(binary.BigEndian.Uint64(r.Value[at:])))
			since := due.Sub(counted)
			if since < 0 {
				return
			}
			l.all.add(now.Sub(due))
			if since < third {
				l.early.add(now.Sub(due))
			} else if since >= 2*third {
				l.late.add(now.Sub(due))
			}
		})
		if bad != nil {
			return bad
		}
		if first := l.early.at(.5); l.strict && first > followed && now.Sub(counted) > third+followed {
			return fmt.Errorf("%w: half of the first outputs came more than %s late", errBehind, first.Round(time.Millisecond))
		}
	}
	return nil
}
