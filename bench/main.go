// Command bench measures the runner: a keyed count with changelog and output, beside a bare franz-go
// exactly-once pass-through over the same records in the same run, on an in-memory Kafka in a process
// of its own. Runs are interleaved, figures are medians.
//
// It prints one line a figure, tab-separated: name, value, unit, beside what, ratio.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == brokerCommand {
		exit(serveBroker(ctx, os.Stdin, os.Stdout, os.Args[2:]))
	}
	exit(run(ctx, os.Args[1:], os.Stdout))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// workload is what both sides process.
type workload struct {
	Records    int
	Keys       int
	ValueBytes int
	Partitions int
	Commit     time.Duration
}

// figure is what one side did with the workload.
type figure struct {
	perSecond float64 // records
	cpu       float64 // microseconds of this process, which holds no broker, per record
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	w := workload{Partitions: 8, Commit: 100 * time.Millisecond}
	flags.IntVar(&w.Records, "records", 1_000_000, "records a run")
	flags.IntVar(&w.Keys, "keys", 100_000, "different keys")
	flags.IntVar(&w.ValueBytes, "value", 200, "bytes of a value")
	pairs := flags.Int("pairs", 3, "interleaved runs of each side")
	profile := flags.String("cpuprofile", "", "file for a CPU profile of the last counted run")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if w.Records <= 0 || w.Keys <= 0 || w.ValueBytes < 0 || *pairs <= 0 {
		return fmt.Errorf("records, keys, value and pairs must be positive")
	}
	var count, pass []figure
	for i := range *pairs {
		fmt.Fprintf(os.Stderr, "pair %d of %d\n", i+1, *pairs)
		b, err := measure(ctx, w, passThrough, "")
		if err != nil {
			return fmt.Errorf("pass-through: %w", err)
		}
		name := ""
		if i == *pairs-1 {
			name = *profile
		}
		c, err := measure(ctx, w, keyedCount, name)
		if err != nil {
			return fmt.Errorf("count: %w", err)
		}
		fmt.Fprintf(os.Stderr, "  pass-through %.0f/s %.2f us, count %.0f/s %.2f us\n", b.perSecond, b.cpu, c.perSecond, c.cpu)
		count, pass = append(count, c), append(pass, b)
	}
	report(out, w, count, pass)
	return nil
}

func report(out io.Writer, w workload, count, pass []figure) {
	rate := func(f figure) float64 { return f.perSecond }
	cpu := func(f figure) float64 { return f.cpu }
	const beside = "bare franz-go exactly-once pass-through"
	line := func(name string, of func(figure) float64, unit string) {
		ratios := make([]float64, len(count))
		for i := range count {
			ratios[i] = of(count[i]) / of(pass[i])
		}
		fmt.Fprintf(out, "%s\t%.2f\t%s\t%s %.2f\t%.2f\n", name, median(values(count, of)), unit, beside, median(values(pass, of)), median(ratios))
	}
	line("count", rate, "records/s")
	line("count client CPU", cpu, "us/record")
	fmt.Fprintf(os.Stderr, "%d records of %d B, %d keys, %d partitions, commit every %s, %d pairs\n",
		w.Records, w.ValueBytes, w.Keys, w.Partitions, w.Commit, len(count))
}
