package main

import (
	"fmt"
	"slices"
	"time"
)

// Kinds of experiments.
const (
	kindDrain   = "drain"
	kindLatency = "latency"
	kindRestore = "restore"
	kindChain   = "chain"
)

// experiment is one workload that sides are compared on.
type experiment struct {
	Name string // in the result file: never of two different things
	Kind string
	workload
	// Less is what sides get that would take minutes for all of the records.
	Less map[string]part

	Sides  []string
	Rounds int
	// Cache of hot state, bytes; 0 means cacheBytes.
	Cache int64
	// Limit of one side's run.
	Limit time.Duration
	// Capacity names the experiment whose Kafka Streams rate is the measure of a latency run's load.
	Capacity string
}

const partitions = 8

// part of a workload's records, and how many of those do not count. A JVM needs as many to warm up as any.
type part struct{ Records, Warm int }

// of is the workload that a side gets.
func (e *experiment) of(side string) workload {
	w := e.workload
	if less, ok := e.Less[side]; ok {
		w.Records, w.Warm = less.Records, less.Warm
	}
	return w
}

// less is what the slow sides get.
func less(streams, goka part) map[string]part {
	return map[string]part{sideStreams: streams, sideStreamsNoCache: streams, sideGoka: goka}
}

// allSides in the order of the first round.
func allSides() []string {
	return []string{sidePass, sideHandoff, sideStreams, sideStreamsNoCache, sideGoka}
}

func drainOf(machine string, keys, value, rounds int) experiment {
	return experiment{
		Name: fmt.Sprintf("drain/%s/%s keys/%d B", machine, thousands(keys), value), Kind: kindDrain,
		workload: workload{Machine: machine, Records: 5_000_000, Warm: 1_000_000, Keys: keys, Shops: 1, ValueBytes: value, Partitions: partitions},
		Less:     less(part{2_000_000, 1_000_000}, part{1_000_000, 400_000}), Sides: allSides(), Rounds: rounds, Limit: 8 * time.Minute,
	}
}

func latencyOf(capacity experiment, rounds int, sides ...string) experiment {
	e := capacity
	e.Name, e.Kind, e.Capacity = "latency/"+capacity.Name[len("drain/"):], kindLatency, capacity.Name
	e.Sides, e.Rounds, e.Limit = sides, rounds, 4*time.Minute
	return e
}

// quickSuite is make bench: at most 20 minutes on two cores. Kafka Streams without its cache is left to the full suite
// for dedupe, whose ids it caches on neither side.
func quickSuite() [][]experiment {
	count, dedupe := drainOf(machineCount, 100_000, 200, 3), drainOf(machineDedupe, 100_000, 200, 3)
	for _, e := range []*experiment{&count, &dedupe} {
		e.Records, e.Less = 4_000_000, less(part{1_200_000, 700_000}, part{600_000, 200_000})
	}
	dedupe.Sides = []string{sidePass, sideHandoff, sideStreams, sideGoka}
	chain := chainOf(1)
	chain.Records, chain.Warm, chain.Less = 600_000, 150_000, map[string]part{sidePipeline: {60_000, 15_000}}
	chain.Sides = []string{sideChain5, sideWrites, sidePipeline}
	return [][]experiment{
		{count, dedupe},
		{latencyOf(count, 1, sideHandoff, sideStreams)},
		{chain},
	}
}

// fullSuite is make bench-full: all of it, in hours.
func fullSuite() [][]experiment {
	const rounds = 5
	var drains, latencies []experiment
	for _, machine := range []string{machineCount, machineDedupe} {
		for _, keys := range []int{100_000, 5_000_000} {
			for _, value := range []int{200, 1024} {
				e := drainOf(machine, keys, value, rounds)
				if keys > e.Records/4 { // each key should come back
					e.Records, e.Warm = 10_000_000, 2_000_000
					e.Less = less(part{2_500_000, 2_000_000}, part{2_500_000, 2_000_000})
				}
				e.Limit = 20 * time.Minute
				drains = append(drains, e)
				if keys == 100_000 && value == 200 {
					latencies = append(latencies, latencyOf(e, rounds, sidePass, sideHandoff, sideStreams))
				}
			}
		}
	}
	return [][]experiment{drains, latencies, runnerSuite(rounds), {chainOf(rounds)}}
}

// chainOf is the whole pipeline beside bare hops.
func chainOf(rounds int) experiment {
	return experiment{Name: "pipeline/first texts", Kind: kindChain, workload: workload{Records: 1_000_000, Warm: 250_000, Partitions: partitions},
		Less: map[string]part{sidePipeline: {120_000, 30_000}}, Sides: []string{sideChain5, sideChain3, sideWrites, sidePipeline}, Rounds: rounds, Limit: 6 * time.Minute}
}

// runnerSuite is what is asked of the runner alone, and restores.
func runnerSuite(rounds int) []experiment {
	one := drainOf(machineCount, 100_000, 200, rounds)
	one.Name, one.Sides = "shops/1", []string{sideHandoff}
	many := one
	many.Name, many.Shops = "shops/1000", 1000
	long := drainOf(machineDedupe, 100_000, 100, rounds)
	long.Name, long.Sides, long.Records, long.Warm = "long/dedupe/20M ids", []string{sideHandoff}, 22_500_000, 500_000
	memory := drainOf(machineCount, 5_000_000, 200, min(rounds, 3))
	memory.Name, memory.Sides, memory.Records, memory.Warm, memory.Cache = memoryName, []string{sideHandoff}, 10_000_000, 1_000_000, memoryCache
	restore := drainOf(machineCount, 5_000_000, 200, rounds)
	restore.Name, restore.Kind, restore.Sides, restore.Records = "restore/count/5M keys", kindRestore, []string{sideHandoff}, 10_000_000
	restore.Limit = 15 * time.Minute
	return []experiment{one, many, long, memory, restore}
}

// memoryCache is far less than what memoryName's keys need.
const (
	memoryName  = "memory/count/5M keys, cache 64 MiB"
	memoryCache = 64 << 20
)

// smokeSuite shows in minutes that everything works; its figures mean nothing.
func smokeSuite() [][]experiment {
	small := func(all []experiment) []experiment {
		all = slices.Clone(all)
		for i := range all {
			e := &all[i]
			e.Records, e.Warm, e.Keys = 400_000, 100_000, min(e.Keys, 150_000)
			e.Less = less(part{300_000, 100_000}, part{300_000, 100_000})
			e.Rounds = min(e.Rounds, 2)
		}
		return all
	}
	quick := quickSuite()
	chain := chainOf(1)
	chain.Records, chain.Warm, chain.Less = 600_000, 150_000, map[string]part{sidePipeline: {6000, 1500}}
	return [][]experiment{small(quick[0]), {chain}, small(quick[1]), small(runnerSuite(1))}
}

// suiteOf a name.
func suiteOf(name string) ([][]experiment, error) {
	switch name {
	case "quick":
		return quickSuite(), nil
	case "full":
		return fullSuite(), nil
	case "runner":
		return [][]experiment{runnerSuite(5)}, nil
	case "smoke":
		return smokeSuite(), nil
	}
	return nil, fmt.Errorf("no suite %q: there are quick, full, runner and smoke", name)
}

func thousands(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return fmt.Sprintf("%dM", n/1_000_000)
	case n >= 1000 && n%1000 == 0:
		return fmt.Sprintf("%dk", n/1000)
	}
	return fmt.Sprint(n)
}

// rotated begins with another side each round, so that none always follows the same one. Handoff stays beside
// the pass-through, in turns before and behind it: the slow sides take minutes, and of what the machine does
// meanwhile their ratio is to know nothing.
func rotated(sides []string, round int) []string {
	pair := []string{sidePass, sideHandoff}
	others := slices.DeleteFunc(slices.Clone(sides), func(side string) bool { return slices.Contains(pair, side) })
	pair = slices.DeleteFunc(pair, func(side string) bool { return !slices.Contains(sides, side) })
	if round%2 == 0 {
		slices.Reverse(pair)
	}
	if len(others) == 0 {
		return pair
	}
	n := (round - 1) % len(others)
	return slices.Concat(others[:n], pair, others[n:])
}
