package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// The whole pipeline beside as many bare hops. sidePipeline is the product's own program with all five
// groups; a chain side is that many pass-throughs, one behind the other, in one process.
const (
	sidePipeline = "pipeline"
	// sideChain5 has as many hops as the pipeline has groups.
	sideChain5 = "chain-5"
	// sideChain3 has as many as a text goes through before its command is in deliver's mailbox.
	sideChain3 = "chain-3"

	metricLightP50 = "light-p50"
	metricLightP99 = "light-p99"
)

const (
	// chainLight is the light load, records a second, with its time before and while it counts.
	chainLight     = 200
	chainLightWarm = 5 * time.Second
	chainLightSpan = 25 * time.Second
)

// hopTopic is the topic before hop i; that before hop 0 is the input.
func hopTopic(i int) string { return "chain-hop-" + strconv.Itoa(i) }

// hopsOf a chain side.
func hopsOf(side string) int {
	if side == sideChain3 {
		return 3
	}
	return 5
}

// runChain is a chain side's process.
func runChain(ctx context.Context, s sideSpec) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hops := hopsOf(s.Side)
	errs := make([]error, hops)
	var wait sync.WaitGroup
	for i := range hops {
		wait.Go(func() {
			errs[i] = passThrough(ctx, hopOf(s, i))
			cancel()
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// hopOf is the specification of one hop.
func hopOf(s sideSpec, i int) sideSpec {
	s.Name, s.In, s.Out = fmt.Sprintf("%s-%d", s.Name, i), hopTopic(i), hopTopic(i+1)
	return s
}

// firstCommit waits until a process has committed anything of the input: its start does not count.
func firstCommit(ctx context.Context, c *cluster, p *process, group, topic string) (moment, error) {
	for {
		committed, _, err := c.committed(ctx, group, topic)
		if err != nil && !missingGroup(err) {
			return moment{}, fmt.Errorf("ask for offsets: %w", err)
		}
		if committed > 0 {
			m := moment{at: time.Now(), committed: committed}
			m.cpu, err = p.cpu()
			return m, err
		}
		select {
		case <-time.After(pollEvery):
		case <-p.ended:
			return moment{}, p.alive()
		case <-ctx.Done():
			return moment{}, fmt.Errorf("wait for the first commit: %w", ctx.Err())
		}
	}
}

// chainInput is customers' first texts, each of another person: every one leads to one command, the text
// that offers a person to talk to.
type chainInput struct {
	topic string
}

func (c chainInput) record(i int, due time.Time) (*kgo.Record, error) {
	address := fmt.Sprintf("+1%010d", 2_000_000_000+i)
	r := &handoffv1.Record{
		Id: schemas.SourceID("bench", chainShop, chainAccount, strconv.Itoa(i)), Shop: chainShop, Channel: handoffv1.Channel_CHANNEL_SMS,
		Account: chainAccount, Address: address, Conversation: schemas.Conversation(handoffv1.Channel_CHANNEL_SMS, chainAccount),
		EventTime: timestamppb.New(due), ReceivedAt: timestamppb.New(due), SettingsVersion: 1,
		Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{
			NativeId: strconv.Itoa(i), Text: "Hi, I want to cancel my order " + strconv.Itoa(10000+i) + " please", AddressDisplayed: address}},
	}
	value, err := schemas.Encode(r)
	if err != nil {
		return nil, err
	}
	return &kgo.Record{Topic: c.topic, Key: schemas.KeyOf(r).Bytes(), Value: value, Timestamp: due}, nil
}

// send produces records [from, to), each when due says; nil means all at once.
func (c chainInput) send(ctx context.Context, brokers []string, from, to int, due func(int) time.Time) error {
	linger := time.Duration(0)
	if due == nil {
		linger = 5 * time.Millisecond
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kafka.ByKey()), kgo.ProducerLinger(linger),
		kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return fmt.Errorf("configure the sender: %w", err)
	}
	defer client.Close()
	var failed firstError
	for i := from; i < to; i++ {
		at := time.Now()
		if due != nil {
			at = due(i)
			select {
			case <-time.After(time.Until(at)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r, err := c.record(i, at)
		if err != nil {
			return err
		}
		client.Produce(ctx, r, failed.promise)
	}
	return errors.Join(client.Flush(ctx), failed.get())
}

// arrivals are what a reader of the last topic saw: when how many had come, and their latencies.
type arrivals struct {
	client *kgo.Client
	wanted func(*handoffv1.Record) bool
	n      int
	seen   map[string]bool // keys that came: each person has one
}

// openArrivals reads a topic from its beginning, committed records only.
func openArrivals(brokers []string, topic string, commandsOnly bool) (*arrivals, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return nil, fmt.Errorf("configure the reader: %w", err)
	}
	return &arrivals{client: client, seen: map[string]bool{}, wanted: func(r *handoffv1.Record) bool {
		return !commandsOnly || r.GetCommand().GetSendText() != nil
	}}, nil
}

// until reads until n have come in all. each is called for every one.
func (a *arrivals) until(ctx context.Context, p *process, n int, each func(received, now time.Time)) error {
	for a.n < n {
		poll, cancel := context.WithTimeout(ctx, time.Second)
		fetches := a.client.PollFetches(poll)
		cancel()
		if err := p.alive(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d have come: %w", a.n, n, ctx.Err())
		}
		now := time.Now()
		var bad error
		fetches.EachRecord(func(r *kgo.Record) {
			record, err := schemas.Decode(r.Key, r.Value)
			if err != nil {
				bad = err
				return
			}
			if !a.wanted(record) {
				return
			}
			if a.seen[string(r.Key)] {
				bad = fmt.Errorf("%s came twice", r.Key)
				return
			}
			a.seen[string(r.Key)] = true
			a.n++
			each(record.GetReceivedAt().AsTime(), now)
		})
		if bad != nil {
			return bad
		}
	}
	return nil
}

// chainRound runs the pipeline and the chains, each on a broker of its own: the pipeline's topics have
// fixed names.
func (s *suite) chainRound(ctx context.Context, e experiment, sides []string, round int) error {
	for _, side := range sides {
		figures, err := s.chainRun(ctx, e, side)
		if err != nil {
			return fmt.Errorf("%s: %w", side, err)
		}
		if err := s.note(e, side, round, figures); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) chainRun(ctx context.Context, e experiment, side string) (figures []figure, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.Limit)
	defer cancel()
	c, err := openCluster(ctx, s.own)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	dir, err := os.MkdirTemp(s.scratch, "chain")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var cmd *exec.Cmd
	spec := sideSpec{Side: side, Name: side, Brokers: c.brokers, Compression: "snappy", CommitMillis: 100, LowLatency: true, Dir: dir}
	in, last, group, records := chainInput{topic: hopTopic(0)}, hopTopic(hopsOf(side)), hopOf(spec, 0).group(), e.Records
	if side == sidePipeline {
		in.topic, last, group, records = schemas.TopicClassify, schemas.TopicDeliver, schemas.TopicClassify, e.Slow
		house, err := openHouse(ctx, c, dir)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, house.close()) }()
		cmd = house.command(ctx, "run", "all")
	} else {
		for i := range hopsOf(side) + 1 {
			if err := c.create(ctx, hopTopic(i), e.Partitions, nil); err != nil {
				return nil, err
			}
		}
		if cmd, err = sideCmd(ctx, spec); err != nil {
			return nil, err
		}
	}
	return chainMeasure(ctx, c, records, cmd, in, group, last)
}

// chainMeasure starts the process on a full input, waits until it is drained, and then sends the light
// load.
func chainMeasure(ctx context.Context, c *cluster, records int, cmd *exec.Cmd, in chainInput, group, last string) (figures []figure, err error) {
	if err := in.send(ctx, c.brokers, 0, records, nil); err != nil {
		return nil, fmt.Errorf("fill the input: %w", err)
	}
	out, err := openArrivals(c.brokers, last, last == schemas.TopicDeliver)
	if err != nil {
		return nil, err
	}
	defer out.client.Close()
	p, err := startProcess(cmd)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, fmt.Errorf("%s", p.log.String()), p.kill())
		}
	}()
	began, err := firstCommit(ctx, c, p, group, in.topic)
	if err != nil {
		return nil, err
	}
	if err := out.until(ctx, p, records, func(time.Time, time.Time) {}); err != nil {
		return nil, err
	}
	drained := moment{at: time.Now()}
	if drained.cpu, err = p.cpu(); err != nil {
		return nil, err
	}
	light, err := chainLightLoad(ctx, c, records, p, in, out)
	if err != nil {
		return nil, fmt.Errorf("light load: %w", err)
	}
	memory, err := p.peakMemory()
	if err != nil {
		return nil, err
	}
	n := float64(records)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return []figure{
		{Metric: metricRate, Value: n / drained.at.Sub(began.at).Seconds(), Unit: "records/s"},
		{Metric: metricCPU, Value: float64((drained.cpu - began.cpu).Microseconds()) / n, Unit: "us/record"},
		{Metric: metricMemory, Value: float64(memory) / (1 << 20), Unit: "MiB"},
		{Metric: metricLightP50, Value: ms(light.at(.5)), Unit: "ms"},
		{Metric: metricLightP99, Value: ms(light.at(.99)), Unit: "ms"},
	}, p.stop()
}

// chainLightLoad waits until what the drain left to do is done, and takes latencies from when a record
// should have been sent until its output can be read.
func chainLightLoad(ctx context.Context, c *cluster, first int, p *process, in chainInput, out *arrivals) (*histogram, error) {
	if err := awaitIdle(ctx, p); err != nil {
		return nil, err
	}
	n := int((chainLightWarm + chainLightSpan).Seconds() * chainLight)
	began := time.Now().Add(100 * time.Millisecond)
	counted := began.Add(chainLightWarm)
	due := func(i int) time.Time { return began.Add(time.Duration(i-first) * time.Second / chainLight) }
	sent := make(chan error, 1)
	go func() { sent <- in.send(ctx, c.brokers, first, first+n, due) }()
	var h histogram
	err := out.until(ctx, p, first+n, func(received, now time.Time) {
		if !received.Before(counted) {
			h.add(now.Sub(received))
		}
	})
	return &h, errors.Join(err, <-sent)
}

// awaitIdle waits until a process uses less than a fifth of a core for a second.
func awaitIdle(ctx context.Context, p *process) error {
	last, err := p.cpu()
	for err == nil {
		select {
		case <-time.After(time.Second):
		case <-p.ended:
			return p.alive()
		case <-ctx.Done():
			return fmt.Errorf("wait until nothing is left to do: %w", ctx.Err())
		}
		now, failed := p.cpu()
		if err = failed; err == nil && now-last < 200*time.Millisecond {
			return nil
		}
		last = now
	}
	return err
}
