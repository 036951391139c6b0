package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// bench runs sides on a cluster.
type bench struct {
	cluster     *cluster
	compression string
	scratch     string // directory for local state
	warm        bool   // the broker has worked
}

// moment is how far a side was at a time.
type moment struct {
	at        time.Time
	committed int64
	cpu       time.Duration
}

// drained is what one side did with an input that was there already.
type drained struct {
	rate   float64 // records a second between the end of the warm-up and the last commit
	cpu    float64 // microseconds of the side's process per record in that time
	memory int64   // largest resident set, bytes
	curve  []moment
}

// pollEvery is how often the group's offsets are asked for.
const pollEvery = 20 * time.Millisecond

// input is a filled topic that sides read one after the other.
type input struct {
	workload
	topic string
	name  string
}

// warmUp drains an input that nobody measures: a broker that has just started compiles itself while it
// works, on the same cores, and whoever comes first would pay for it.
func (b *bench) warmUp(ctx context.Context) (err error) {
	if b.warm || b.cluster.name == "kfake" {
		return nil
	}
	b.warm = true
	for range 2 {
		in, err := b.fillInput(ctx, workload{Machine: machineCount, Records: 3_000_000, Keys: 100_000, Shops: 1, ValueBytes: 200, Partitions: partitions})
		if err != nil {
			return err
		}
		s, err := b.spec(ctx, in, sidePass)
		if err == nil {
			_, err = b.drain(ctx, in, s, 2*time.Minute)
		}
		if err := errors.Join(err, b.cluster.remove(ctx, in.name)); err != nil {
			return fmt.Errorf("warm the broker up: %w", err)
		}
	}
	return nil
}

// fillInput writes a workload to a topic of its own.
func (b *bench) fillInput(ctx context.Context, w workload) (input, error) {
	if err := b.warmUp(ctx); err != nil {
		return input{}, err
	}
	in := input{workload: w, name: b.cluster.freshName()}
	in.topic = "handoff." + in.name
	compression, err := compressionCodec(b.compression)
	if err != nil {
		return in, err
	}
	if err := b.cluster.create(ctx, in.topic, w.Partitions, nil); err != nil {
		return in, err
	}
	return in, w.fill(ctx, b.cluster.brokers, in.topic, compression)
}

// spec of a run of a side over an input. Its topics are made, and end with the input's.
func (b *bench) spec(ctx context.Context, in input, side string) (sideSpec, error) {
	name := in.name + "-" + side
	s := sideSpec{Side: side, Machine: in.Machine, Name: name, Brokers: b.cluster.brokers, In: in.topic, Out: name + "-out",
		Partitions: in.Partitions, Compression: b.compression, CommitMillis: 100, CacheBytes: cacheBytes}
	var err error
	if s.Dir, err = os.MkdirTemp(b.scratch, side); err != nil {
		return s, fmt.Errorf("make a directory for state: %w", err)
	}
	if err := b.cluster.create(ctx, s.Out, in.Partitions, nil); err != nil {
		return s, err
	}
	if side == sideHandoff || side == sideGoka { // Kafka Streams makes its own
		return s, b.cluster.create(ctx, s.changelog(), in.Partitions, map[string]string{"cleanup.policy": "compact", "delete.retention.ms": "604800000"})
	}
	return s, nil
}

// cacheBytes of hot state that every side gets unless a run says otherwise: the runner's default of
// 32 MiB a partition.
const cacheBytes = 8 * 32 << 20

// drain lets a side work through an input and checks what it made of it.
func (b *bench) drain(ctx context.Context, in input, s sideSpec, limit time.Duration) (d drained, err error) {
	defer func() { err = errors.Join(err, b.sweep(ctx, s)) }()
	runtime.GC()
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	p, err := startSide(bounded, s)
	if err != nil {
		return d, err
	}
	d, err = b.follow(bounded, in, s, p)
	if err != nil {
		return d, errors.Join(fmt.Errorf("%s: %w\n%s", s.Side, err, p.log.String()), p.kill())
	}
	if err := p.stop(); err != nil {
		return d, err
	}
	if err := in.check(ctx, b.cluster, s.Out, in.Records, s.Side != sidePass); err != nil {
		return d, fmt.Errorf("%s: its result is wrong: %w", s.Side, err)
	}
	return d, nil
}

// follow watches the group's offsets until all of the input is committed.
func (b *bench) follow(ctx context.Context, in input, s sideSpec, p *process) (d drained, err error) {
	for {
		now, err := b.look(ctx, s, p)
		if err != nil {
			return d, err
		}
		if n := len(d.curve); n == 0 || now.committed > d.curve[n-1].committed {
			d.curve = append(d.curve, now)
		}
		if now.committed >= int64(in.Records) {
			break
		}
		select {
		case <-time.After(pollEvery):
		case <-p.ended:
			return d, p.alive()
		case <-ctx.Done():
			return d, fmt.Errorf("%d of %d records are committed: %w", now.committed, in.Records, ctx.Err())
		}
	}
	if d.rate, d.cpu = d.between(int64(in.Warm), int64(in.Records)); d.rate == 0 {
		return d, errors.New("what follows the warm-up was committed at once: too little to measure")
	}
	d.memory, err = p.peakMemory()
	return d, err
}

// look takes the side's moment. A group that is not there yet has committed nothing.
func (b *bench) look(ctx context.Context, s sideSpec, p *process) (moment, error) {
	committed, _, err := b.cluster.committed(ctx, s.group(), s.In)
	if err != nil && !missingGroup(err) {
		return moment{}, fmt.Errorf("ask for offsets: %w", err)
	}
	m := moment{at: time.Now(), committed: committed}
	if m.cpu, err = p.cpu(); err != nil {
		return m, errors.Join(err, p.alive())
	}
	return m, nil
}

func missingGroup(err error) bool {
	return strings.Contains(err.Error(), "GROUP_ID_NOT_FOUND") || strings.Contains(err.Error(), "COORDINATOR")
}

// between returns records a second and CPU per record from the first moment at which from records were
// committed to the first at which to were.
func (d *drained) between(from, to int64) (rate, cpu float64) {
	var a, z *moment
	for i := range d.curve {
		m := &d.curve[i]
		if a == nil && m.committed >= from {
			a = m
		}
		if z == nil && m.committed >= to {
			z = m
		}
	}
	if a == nil || z == nil || z.committed <= a.committed {
		return 0, 0
	}
	n := float64(z.committed - a.committed)
	return n / z.at.Sub(a.at).Seconds(), float64((z.cpu - a.cpu).Microseconds()) / n
}

// sweep removes everything that a run made but its input.
func (b *bench) sweep(ctx context.Context, s sideSpec) error {
	parts := []string{s.Name}
	if s.Side == sideHandoff {
		parts = append(parts, s.changelog())
	}
	return errors.Join(os.RemoveAll(s.Dir), b.cluster.remove(ctx, parts...))
}
