package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// runDrain compares a few sides on one workload and writes nothing down: for profiling and for a look.
func runDrain(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench drain", flag.ContinueOnError)
	var o common
	o.register(flags)
	w := workload{Machine: machineCount}
	flags.StringVar(&w.Machine, "machine", machineCount, "count or dedupe")
	flags.IntVar(&w.Records, "records", 3_000_000, "records a run")
	flags.IntVar(&w.Warm, "warm", 500_000, "of them, before measuring")
	flags.IntVar(&w.Keys, "keys", 100_000, "different keys")
	flags.IntVar(&w.Shops, "shops", 1, "shops that the keys are spread over")
	flags.IntVar(&w.ValueBytes, "value", 200, "bytes of a value")
	flags.IntVar(&w.Partitions, "partitions", 8, "of every topic")
	sides := flags.String("sides", sidePass+","+sideHandoff, "sides, in order; SIDE@FILE is that of another build of this program, to compare two")
	rounds := flags.Int("rounds", 3, "interleaved runs of each side")
	profile := flags.String("cpuprofile", "", "CPU profile of the last run of each Go side: FILE.<side>")
	cache := flags.Int64("cache", cacheBytes, "bytes of hot state, of all partitions together")
	commit := flags.Int("commit", 100, "milliseconds between commits while busy")
	limit := flags.Duration("limit", 5*time.Minute, "bound of one run")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := openBench(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	names := strings.Split(*sides, ",")
	rates, cpus := map[string][]float64{}, map[string][]float64{}
	for round := range *rounds {
		in, err := b.fillInput(ctx, w)
		if err != nil {
			return err
		}
		for _, name := range names {
			side, program, another := strings.Cut(name, "@")
			if another { // what was committed of the input is kept by the same group
				if err := b.cluster.remove(ctx, in.name); err != nil {
					return err
				}
				if in, err = b.fillInput(ctx, w); err != nil {
					return err
				}
			}
			s, err := b.spec(ctx, in, side)
			if err != nil {
				return err
			}
			s.CacheBytes, s.CommitMillis, s.program = *cache, *commit, program
			if *profile != "" && round == *rounds-1 {
				s.CPUProfile = *profile + "." + side
			}
			d, err := b.drain(ctx, in, s, *limit)
			if err != nil {
				return err
			}
			fmt.Printf("round %d  %-16s %9.0f records/s  %6.2f us/record  %5d MiB\n", round+1, name, d.rate, d.cpu, d.memory>>20)
			rates[name], cpus[name] = append(rates[name], d.rate), append(cpus[name], d.cpu)
		}
		if err := b.cluster.remove(ctx, in.name); err != nil {
			return err
		}
	}
	for _, name := range names {
		fmt.Printf("median   %-16s %9.0f records/s  %6.2f us/record  %.2f of %s\n", name,
			spreadOf(rates[name]).median, spreadOf(cpus[name]).median, spreadOf(ratios(rates[name], rates[names[0]])).median, names[0])
	}
	return nil
}

// openBench starts the broker and makes a place for local state.
func openBench(ctx context.Context, o common) (*bench, error) {
	if _, err := compressionCodec(o.compression); err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp("", "handoff-bench")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	c, err := openCluster(ctx, o.broker)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(scratch))
	}
	return &bench{cluster: c, compression: o.compression, scratch: scratch}, nil
}

func (b *bench) close() error { return errors.Join(b.cluster.Close(), os.RemoveAll(b.scratch)) }
