package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// chainRun is one run of one side: what it drains, and who reads and posts it.
type chainRun struct {
	cluster *cluster
	house   *house // nil for bare hops
	cmd     *exec.Cmd
	// records in all; rates count from when warm of them have come through.
	records, warm int
	in            chainInput
	// last is the topic after the last hop.
	last string
}

// measure starts the process on a full input, waits until it is drained, and then sends the light load. The
// first records do not count: broker and process compile and grow while they pass.
func (r *chainRun) measure(ctx context.Context) (figures []figure, err error) {
	if err := r.in.send(ctx, r.cluster.brokers, 0, r.records, nil); err != nil {
		return nil, fmt.Errorf("fill the input: %w", err)
	}
	out, err := openArrivals(r.cluster.brokers, r.last, r.house != nil)
	if err != nil {
		return nil, err
	}
	defer out.client.Close()
	p, err := startProcess(r.cmd)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, fmt.Errorf("%s", p.log.String()), p.kill())
		}
	}()
	if err := out.until(ctx, p, r.warm, nil); err != nil {
		return nil, fmt.Errorf("warm up: %w", err)
	}
	counted := r.records - out.n // a poll may bring more than was waited for
	if counted < r.records/4 {
		return nil, fmt.Errorf("%d of %d records came through with the first %d: too few are left to measure, give more", out.n, r.records, r.warm)
	}
	began, err := r.usage(p)
	if err != nil {
		return nil, err
	}
	if err := out.until(ctx, p, r.records, nil); err != nil {
		return nil, err
	}
	drained, err := r.usage(p)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stderr, "drained in %s, %.0f a second, %.1f us of CPU each and the broker's %.1f; waiting until all that was caused is done\n",
		drained.at.Sub(began.at).Round(time.Millisecond), float64(counted)/drained.at.Sub(began.at).Seconds(),
		perRecord(drained.side-began.side, counted), perRecord(drained.broker-began.broker, counted))
	settled, err := r.awaitIdle(ctx, p)
	if err != nil {
		return nil, err
	}
	light, err := r.lightLoad(ctx, p, out)
	if err != nil {
		return nil, fmt.Errorf("light load: %w", err)
	}
	memory, err := p.peakMemory()
	if err != nil {
		return nil, err
	}
	n := float64(counted)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	figures = []figure{
		{Metric: metricRate, Value: n / drained.at.Sub(began.at).Seconds(), Unit: "records/s"},
		{Metric: metricCPU, Value: perRecord(drained.side-began.side, counted), Unit: "us/record"},
		{Metric: metricCPUBroker, Value: perRecord(drained.broker-began.broker, counted), Unit: "us/record"},
		{Metric: metricCPUEngine, Value: perRecord(drained.engine-began.engine, counted), Unit: "us/record"},
		{Metric: metricCPUBench, Value: perRecord(drained.bench-began.bench, counted), Unit: "us/record"},
		{Metric: metricSettled, Value: n / settled.at.Sub(began.at).Seconds(), Unit: "records/s"},
		{Metric: metricCPUSettled, Value: perRecord(settled.side-began.side, counted), Unit: "us/record"},
		{Metric: metricMemory, Value: float64(memory) / (1 << 20), Unit: "MiB"},
		{Metric: metricLightP50, Value: ms(light.at(.5)), Unit: "ms"},
		{Metric: metricLightP99, Value: ms(light.at(.99)), Unit: "ms"},
	}
	return figures, p.stop()
}

func perRecord(d time.Duration, records int) float64 {
	return float64(d.Microseconds()) / float64(records)
}

// usage is the CPU time that each process of a run has used: all of them share the cores.
type usage struct {
	at time.Time
	// side is the process that is measured, bench this one: its stand-ins, and the reader of the result.
	side, broker, engine, bench time.Duration
}

func (r *chainRun) usage(p *process) (u usage, err error) {
	u.at = time.Now()
	if u.side, err = p.cpu(); err != nil {
		return u, errors.Join(err, p.alive())
	}
	if u.bench, err = cpuOf(os.Getpid()); err != nil {
		return u, err
	}
	if r.house != nil {
		if u.engine, err = cpuOf(r.house.engine.PID()); err != nil {
			return u, err
		}
	}
	u.broker, err = brokerCPU()
	return u, err
}

// brokerCPU is what the Java children of this process have used: the broker is the only one that runs
// beside a chain. 0 where the broker is not ours.
func brokerCPU() (all time.Duration, err error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, fmt.Errorf("list processes: %w", err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		var pid, parent int
		var command, state string
		if _, err := fmt.Sscan(string(raw), &pid, &command, &state, &parent); err != nil || parent != os.Getpid() || command != "(java)" {
			continue
		}
		used, err := cpuOf(pid)
		if err != nil {
			return 0, err
		}
		all += used
	}
	return all, nil
}

// lightLoad takes latencies from when a record should have been sent until its output can be read.
func (r *chainRun) lightLoad(ctx context.Context, p *process, out *arrivals) (*histogram, error) {
	first, n := r.records, int((chainLightWarm+chainLightSpan).Seconds()*chainLight)
	began := time.Now().Add(100 * time.Millisecond)
	counted := began.Add(chainLightWarm)
	due := func(i int) time.Time { return began.Add(time.Duration(i-first) * time.Second / chainLight) }
	sent := make(chan error, 1)
	go func() { sent <- r.in.send(ctx, r.cluster.brokers, first, first+n, due) }()
	var h histogram
	err := out.until(ctx, p, first+n, func(received, now time.Time) {
		if !received.Before(counted) {
			h.add(now.Sub(received))
		}
	})
	return &h, errors.Join(err, <-sent)
}

// awaitIdle waits until a process uses less than a fifth of a core for a second: all that the drained
// texts asked for, calls and rows, is done. It returns the beginning of that second.
func (r *chainRun) awaitIdle(ctx context.Context, p *process) (usage, error) {
	last, err := r.usage(p)
	for err == nil {
		select {
		case <-time.After(time.Second):
		case <-p.ended:
			return last, p.alive()
		case <-ctx.Done():
			return last, fmt.Errorf("wait until nothing is left to do: %w", ctx.Err())
		}
		now, failed := r.usage(p)
		if err = failed; err == nil && now.side-last.side < 200*time.Millisecond {
			return last, nil
		}
		last = now
	}
	return last, err
}
