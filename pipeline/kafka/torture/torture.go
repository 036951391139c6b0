// Package torture proves the runtime on a real Kafka: it runs stage and sink in processes of their own,
// has something go wrong over and over (a kill -9 or an error at any step of a transaction, a frozen
// process, lost or old state, members that come and go, brokers that die), and compares everything that
// came of it with a model of the same stage run over the same input. `make torture-runtime ROUNDS=500` runs it.
//
// It fetches and starts Kafka by itself; see package kafkatest. A round is one fault. Rounds share a
// stage and its topics for an epoch; in its middle and at its end the traffic pauses until all is
// drained, and every output, dead letter, timer, changelog record, offset, row and call is checked, and
// the members' local state too. The last line has the totals; the exit code is 1 when anything was lost,
// doubled or wrong. What goes wrong, and the input, come from the seed alone; the moments do not.
package torture

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline/kafka/kafkatest"
)

// Main runs the torture with the arguments of a command line, and returns its exit code: 0 when all is as
// it must be, 1 otherwise, 2 for arguments it does not understand. The program that calls it is started
// again for every member: then Main runs that member, until the process that started it is done with it.
func Main(args []string) int {
	if os.Getenv(asMember) != "" {
		if err := runMember(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "member:", err)
			return 1
		}
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		return 2
	}
	if err := t.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		return 1
	}
	return 0
}

// torture is one run.
type torture struct {
	seed   uint64
	wanted int // rounds
	only   int // this epoch alone; -1: all
	nodes  int // of Kafka; 0 is kfake
	kafka  string
	port   int
	rate   int
	fake   bool
	extra  string // of the line that tells how to replay
	dir    string
	fault  string // what the members do wrong; for the harness's own test
	out    io.Writer

	patience time.Duration // for everything to be as the model has it

	faults  []fault
	cluster cluster
	admin   *kadm.Client

	rounds, missed       int
	records              int
	lost, doubled, wrong int
	recoveries           []time.Duration // from a member's death to its successor's first commit
	readable             []time.Duration // from a member's death to its successor's first output that can be read
	stops                []time.Duration // of members that were told to
	broker               []time.Duration // from a broker's return to the next commit
}

func parse(args []string) (*torture, error) {
	t := &torture{out: os.Stdout, patience: settledWait}
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.IntVar(&t.wanted, "rounds", 50, "faults to inject")
	f.Uint64Var(&t.seed, "seed", 0, "what goes wrong and the input come from it; 0 draws one")
	f.IntVar(&t.nodes, "nodes", 1, "nodes of Kafka: 1 or 3")
	f.StringVar(&t.kafka, "kafka", kafkatest.Version, "version of Apache Kafka")
	f.IntVar(&t.only, "epoch", -1, "run this epoch alone")
	f.IntVar(&t.port, "port", 0, "port of the first node; 0 is a free one")
	f.IntVar(&t.rate, "rate", 400, "records a second")
	f.BoolVar(&t.fake, "kfake", false, "a Kafka in memory instead of a real one: fast, and no proof")
	f.StringVar(&t.dir, "dir", "", "where everything is kept; default a temporary directory, kept when something is wrong")
	match := f.String("match", "", "only faults whose name matches this regular expression")
	f.StringVar(&t.fault, "fault", "", "what the members do wrong, to see it found: lose, double or rows")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if t.seed == 0 {
		t.seed = rand.Uint64()>>32 | 1
	}
	if t.fake {
		t.nodes, t.extra = 0, " ARGS=-kfake"
	} else if *match != "" {
		t.extra = fmt.Sprintf(" ARGS=\"-match '%s'\"", *match)
	}
	only, err := regexp.Compile(*match)
	if err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	t.faults = slices.DeleteFunc(catalogue(t.nodes), func(f fault) bool { return !only.MatchString(f.name) })
	if len(t.faults) == 0 {
		return nil, fmt.Errorf("no fault matches %q", *match)
	}
	return t, nil
}

func (t *torture) print(format string, args ...any) { fmt.Fprintf(t.out, format+"\n", args...) }

// run starts Kafka, runs epochs until there were enough rounds, and prints the last line.
func (t *torture) run(ctx context.Context) (err error) {
	began := time.Now()
	if t.dir == "" {
		if t.dir, err = os.MkdirTemp("", "torture"); err != nil {
			return err
		}
		defer func() {
			if err == nil {
				remove(t.dir)
			}
		}()
	}
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return err
	}
	if t.fake {
		t.cluster, err = newFakeKafka()
	} else {
		t.cluster, err = realKafka(ctx, t.kafka, t.nodes, t.port, filepath.Join(t.dir, "kafka"), os.Stderr)
	}
	if err != nil {
		return err
	}
	defer t.cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(t.cluster.Brokers()...), kgo.MetadataMinAge(250*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	t.admin = kadm.NewClient(client)
	t.print("seed %d: %d faults, %d nodes, Kafka ready after %.1f s, everything in %s", t.seed, t.wanted, t.nodes, time.Since(began).Seconds(), t.dir)
	err = t.epochs(ctx)
	if err != nil {
		t.print("replay: make torture-runtime SEED=%d ROUNDS=%d NODES=%d%s", t.seed, t.wanted, max(t.nodes, 1), t.extra)
		t.print("logs and state are in %s", t.dir)
	}
	t.summary(time.Since(began))
	return err
}

func (t *torture) epochs(ctx context.Context) error {
	for number := max(t.only, 0); t.rounds < t.wanted; number++ {
		err := t.runEpoch(ctx, number)
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("interrupted in epoch %d", number)
			}
			if t.wrong+t.lost+t.doubled == 0 {
				t.wrong++
			}
			return fmt.Errorf("epoch %d: %w", number, err)
		}
		if t.only >= 0 {
			return nil
		}
		if number > 2*(t.wanted/roundsPerEpoch+1) {
			return fmt.Errorf("%d of %d traps did not spring", t.missed, t.rounds+t.missed)
		}
	}
	return nil
}

// summary prints the figures, the last line with what counts.
func (t *torture) summary(took time.Duration) {
	spread := func(name string, all []time.Duration) {
		if len(all) == 0 {
			return
		}
		slices.SortFunc(all, cmp.Compare)
		t.print("%s: p50 %.2f s, p90 %.2f s, max %.2f s of %d", name, all[len(all)/2].Seconds(), all[len(all)*9/10].Seconds(), all[len(all)-1].Seconds(), len(all))
	}
	spread("a member's end when told to", t.stops)
	spread("first commit after a broker's return", t.broker)
	spread("first commit after a member's death", t.recoveries)
	spread("first readable output after a member's death", t.readable)
	slowest := time.Duration(0)
	if n := len(t.recoveries); n > 0 {
		slowest = t.recoveries[n-1]
	}
	t.print("%d rounds (%d traps missed), %d records, %d lost, %d doubled, %d wrong, slowest recovery %.1f s, in %.0f s",
		t.rounds, t.missed, t.records, t.lost, t.doubled, t.wrong, slowest.Seconds(), took.Seconds())
}
