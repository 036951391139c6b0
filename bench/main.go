// Command bench measures Handoff's runner beside its peers: a bare franz-go exactly-once pass-through,
// Kafka Streams and goka, each in a process of its own, on one real Apache Kafka, in interleaved runs
// whose results are checked. docs/bench.md says what is compared and how to read it.
//
//	bench [run] [-suite quick|full|...] [flags]    measure what is missing in the result file, then report
//	bench report [-out DIR]                        tables and plots of what the result file has
//	bench drain [flags]                            a few sides and one workload, for profiling
//	bench chain [flags]                            the whole pipeline beside bare hops, for a look
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := dispatch(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	command := "run"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	switch command {
	case "run":
		return runSuite(ctx, args)
	case "drain":
		return runDrain(ctx, args)
	case "chain":
		return runChainLook(ctx, args)
	case "report":
		return runReport(args)
	case sideCommand:
		return serveSide(ctx, args)
	case fakeCommand:
		return serveFake(ctx)
	}
	return fmt.Errorf("no command %q: there are run, drain, chain and report", command)
}

// common flags of everything that measures.
type common struct {
	broker      string
	compression string
	out         string
}

func (c *common) register(flags *flag.FlagSet) {
	flags.StringVar(&c.broker, "broker", "kafka", `"kafka" starts a real one, "kfake" an in-memory one (Go sides only), host:port uses a running one`)
	flags.StringVar(&c.compression, "compression", "none", "of every producer: none, lz4, snappy or zstd")
	flags.StringVar(&c.out, "out", "out", "directory for results")
}
