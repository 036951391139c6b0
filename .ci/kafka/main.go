// Command kafka runs a real Apache Kafka on loopback until Ctrl-C: one node, or three when asked. It is
// what `make kafka` runs. Data stay where they are, so that the next start goes on from them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/handoff-dev/handoff/pipeline/kafka/kafkatest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "kafka:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("kafka", flag.ContinueOnError)
	dir := flags.String("dir", ".kafka", "where data and logs are kept, in a directory per number of nodes")
	port := flags.Int("port", 29092, "port of the first node; each node takes two")
	heap := flags.String("heap", "512m", "heap of each node")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "kafka [flags] [1|3]   runs that many nodes of Apache Kafka "+kafkatest.Version+" until Ctrl-C")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	nodes := 1
	if flags.NArg() > 0 {
		var err error
		if nodes, err = strconv.Atoi(flags.Arg(0)); err != nil {
			return fmt.Errorf("%q is not a number of nodes", flags.Arg(0))
		}
	}
	data, err := filepath.Abs(filepath.Join(*dir, strconv.Itoa(nodes)))
	if err != nil {
		return err
	}
	// Ctrl-C gives a start up, but lets nodes that run stop cleanly: they live in a context of their own.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	started := context.AfterFunc(ctx, end)
	cluster, err := kafkatest.Start(life, kafkatest.Config{Nodes: nodes, Dir: data, Port: *port, Heap: *heap, Progress: os.Stderr})
	if err != nil {
		return err
	}
	started()
	brokers := strings.Join(cluster.Brokers(), ",")
	fmt.Printf(`Apache Kafka %s, %d node(s), data in %s
  bootstrap servers   %s
  handoff             HANDOFF_KAFKA__BROKERS=%[4]s bin/handoff topics apply    (or --set kafka.brokers=%[4]s)
  tests               HANDOFF_TEST_KAFKA=%[4]s go test ./pipeline/kafka -run RealKafka
Ctrl-C stops it; the data stay.
`, kafkatest.Version, nodes, data, brokers)
	<-ctx.Done()
	fmt.Fprintln(os.Stderr, "stopping ...")
	patience, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	stopped := make(chan error, nodes)
	for n := range nodes {
		go func() { stopped <- cluster.Stop(patience, n+1) }()
	}
	for range nodes {
		err = errors.Join(err, <-stopped)
	}
	return errors.Join(err, cluster.Close())
}
