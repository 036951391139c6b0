package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/handoff-dev/handoff/schemas"
)

// The whole pipeline beside as many bare hops. sidePipeline is the product's own program with all five
// groups; a chain side is that many pass-throughs, one behind the other, in one process.
const (
	sidePipeline = "pipeline"
	// sideChain5 has as many hops as the pipeline has groups.
	sideChain5 = "chain-5"
	// sideChain3 has as many as a text goes through before its command is in deliver's mailbox.
	sideChain3 = "chain-3"
	// sideWrites is chain-3 whose hops also write what the stages in their places write, see chain_writes.go.
	sideWrites = "writes"

	metricLightP50 = "light-p50"
	metricLightP99 = "light-p99"
	// CPU of the processes beside the measured one, per record, until the input is drained.
	metricCPUBroker, metricCPUEngine, metricCPUBench = "cpu-broker", "cpu-engine", "cpu-bench"
	// metricSettled counts until everything that the records caused is done too, metricCPUSettled is the
	// measured process's CPU until then.
	metricSettled, metricCPUSettled = "settled", "cpu-settled"
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
	if side == sideChain3 || side == sideWrites {
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
	if s.Side == sideWrites {
		s.Beside = stageWrites[i]
	}
	s.Name, s.In, s.Out = fmt.Sprintf("%s-%d", s.Name, i), hopTopic(i), hopTopic(i+1)
	return s
}

// chainRound runs the pipeline and the chains, each on a broker of its own: the pipeline's topics have
// fixed names.
func (s *suite) chainRound(ctx context.Context, e experiment, sides []string, round int) error {
	for _, side := range sides {
		figures, err := s.chain(ctx, e, side, s.own)
		if err != nil {
			return fmt.Errorf("%s: %w", side, err)
		}
		if err := s.note(e, side, round, figures); err != nil {
			return err
		}
	}
	return nil
}

// chain runs one side.
func (b *bench) chain(ctx context.Context, e experiment, side, broker string) (figures []figure, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.Limit)
	defer cancel()
	c, err := openCluster(ctx, broker)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	fresh := &bench{cluster: c, compression: b.compression, scratch: b.scratch}
	if err := fresh.warmUp(ctx); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.scratch, "chain")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := e.of(side)
	if side == sidePipeline {
		house, err := openHouse(ctx, c, dir)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, house.close()) }()
		run := chainRun{cluster: c, house: house, cmd: house.command(ctx, "run", "all"), records: w.Records, warm: w.Warm,
			in: chainInput{topic: schemas.TopicClassify}, last: schemas.TopicDeliver}
		return run.measure(ctx)
	}
	topics := []string{topicBeside, topicChangelog}
	for i := range hopsOf(side) + 1 {
		topics = append(topics, hopTopic(i))
	}
	for _, topic := range topics {
		if err := c.create(ctx, topic, e.Partitions, nil); err != nil {
			return nil, err
		}
	}
	spec := sideSpec{Side: side, Name: side, Brokers: c.brokers, Compression: "snappy", CommitMillis: 100, LowLatency: true, Dir: dir}
	cmd, err := sideCmd(ctx, spec)
	if err != nil {
		return nil, err
	}
	run := chainRun{cluster: c, cmd: cmd, records: w.Records, warm: w.Warm, in: chainInput{topic: hopTopic(0)}, last: hopTopic(hopsOf(side))}
	return run.measure(ctx)
}

// runChainLook compares chains and the pipeline and writes nothing down.
func runChainLook(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench chain", flag.ContinueOnError)
	var o common
	o.register(flags)
	e := chainOf(1)
	flags.IntVar(&e.Records, "records", e.Records, "texts of a bare chain's run")
	texts := flags.Int("texts", e.of(sidePipeline).Records, "texts of the pipeline's run")
	sides := flags.String("sides", sideChain5+","+sidePipeline, "sides, in order")
	if err := flags.Parse(args); err != nil {
		return err
	}
	e.Less[sidePipeline] = part{*texts, *texts / 4}
	b := &bench{compression: o.compression}
	if b.scratch, err = os.MkdirTemp("", "handoff-bench"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.scratch)) }()
	for side := range strings.SplitSeq(*sides, ",") {
		figures, err := b.chain(ctx, e, side, o.broker)
		if err != nil {
			return fmt.Errorf("%s: %w", side, err)
		}
		fmt.Println(side)
		for _, f := range figures {
			fmt.Printf("  %-12s %10.1f %s\n", f.Metric, f.Value, f.Unit)
		}
	}
	return nil
}
