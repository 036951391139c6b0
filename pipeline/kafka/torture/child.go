package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// order is the first line that a member reads: what it is to run.
type order struct {
	Brokers    []string
	Stage      string // name of the stage; the sink's is factsOf it
	Partitions int
	Instance   string // empty: unique per start
	Dir        string // of the state store
	Outside    string // directory of the outside store
	Fault      string // what the stage or the sink does wrong
	Copies     bool   // of others' state are kept
	Session    time.Duration
}

// factsOf names the sink of a stage; its mailbox is where the stage emits to.
func factsOf(stage string) string { return stage + "facts" }

// member is the product as one process runs it: a stage and a sink on one state store, on Kafka, with
// traps in everything that is given to them.
type member struct {
	order
	traps *traps
	steps *steps
	log   *slog.Logger
}

// runMember is the main of a member's process: its order and traps come on in, what happens goes to out,
// both line by line. It ends when it is told to, or when in ends with whoever had it.
func runMember(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return errors.New("no order")
	}
	to := &lineWriter{w: out}
	st := &steps{tell: to.tell}
	m := &member{steps: st, traps: &traps{tell: to.tell, hit: st.begin},
		log: slog.New(logged{slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}), st})}
	if err := json.Unmarshal(lines.Bytes(), &m.order); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	st.begin()
	st.say("the process runs")
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	run, ended := false, make(chan error, 1)
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "lay":
			var t trap
			if err := json.Unmarshal([]byte(rest), &t); err != nil {
				return fmt.Errorf("read a trap: %w", err)
			}
			m.traps.lay(t)
		case "disarm":
			m.traps.clear()
			to.tell("disarmed")
		case "mark":
			to.tell("marked")
			st.begin()
		case "go":
			run = true
			go func() {
				err := m.run(ctx)
				ended <- err
				if err != nil && ctx.Err() == nil {
					// Nobody may be there to stop it: a trap made the disk fail, for instance.
					to.tell("failed %s", strings.ReplaceAll(err.Error(), "\n", " "))
					os.Exit(3)
				}
			}()
		case "stop":
			stop()
			err := <-ended
			to.tell("bye")
			return err
		}
	}
	if run {
		os.Exit(4) // the parent is gone
	}
	return nil
}

// run opens the store and runs stage and sink until ctx ends.
func (m *member) run(ctx context.Context) error {
	store, err := state.OpenStore(state.StoreConfig{Dir: m.Dir, FS: disk{vfs.Default, m.traps}, Logger: m.log})
	if err != nil {
		return err
	}
	m.steps.say("the state is open")
	w := newWire(m.traps, m.steps, "handoff-"+m.Stage)
	to := kafka.Connection{Brokers: m.Brokers, Options: []kgo.Opt{kgo.Dialer(w.Dial)}}
	post, err := kafka.NewProducer(kafka.ProducerConfig{Connection: to, Timeout: 5 * time.Second})
	if err != nil {
		return err
	}
	calling, hangUp := context.WithCancel(context.Background())
	caller := &outside{path: filepath.Join(m.Outside, "calls"), mailbox: schemas.Mailbox(m.Stage), traps: m.traps, steps: m.steps, post: post, life: calling}
	err = m.runners(ctx, to, store, caller)
	hangUp()
	caller.work.Wait()
	closing, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = post.Close(closing) // results that are lost are asked for again
	return errors.Join(err, store.Close())
}

func (m *member) runners(ctx context.Context, to kafka.Connection, store *state.Store, caller *outside) error {
	of := &stage{name: m.Stage, facts: schemas.Mailbox(factsOf(m.Stage)), partitions: m.Partitions, fault: m.Fault}
	cfg := kafka.Config{Connection: to, Store: store, Instance: m.Instance, Logger: m.log,
		SessionTimeout: m.Session, TransactionTimeout: transactionTimeout, CommitEvery: 50 * time.Millisecond,
		SaveEvery: 500 * time.Millisecond, DrainWait: 5 * time.Second, KeepRevoked: 2 * time.Second,
		RevokeWait: time.Second, SeenWindow: seenWindow, MaxRecordBytes: largest, CacheBytes: 64 << 10}
	if m.Copies {
		cfg.Standby = 1
	}
	stages := cfg
	stages.Stage, stages.Caller = trappedStage{of, m.traps}, caller
	one, err := kafka.New(stages)
	if err != nil {
		return err
	}
	two, err := kafka.NewSink(kafka.SinkConfig{Config: cfg, Name: factsOf(m.Stage), BatchRows: 500, BatchEvery: 100 * time.Millisecond,
		Sink: &table{dir: filepath.Join(m.Outside, "rows"), traps: m.traps, fault: m.Fault}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make(chan error, 2)
	for _, r := range []*kafka.Runner{one, two} {
		go func() { errs <- r.Run(ctx) }()
	}
	err = <-errs
	cancel()
	return errors.Join(err, <-errs)
}

// Time-outs are short, so that a zombie is put out of its group within a round.
const (
	sessionTimeout     = 4 * time.Second
	shippedSession     = 45 * time.Second // kafka.session_timeout by default
	transactionTimeout = 4 * time.Second
	// seenWindow is longer than anything takes between an input and its duplicate, and short enough for
	// buckets to drop within a long epoch.
	seenWindow = 5 * time.Minute
)

// trappedStage has traps around the stage's Process.
type trappedStage struct {
	*stage
	traps *traps
}

func (s trappedStage) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	place := placeStage
	if in.Timer != nil {
		place = placeTimer
	}
	// A trap that fails would make a dead letter, which is no fault of the runner's: kills and freezes only.
	_ = s.traps.step(place, "", "", before)
	err := s.stage.Process(in, st, fx)
	_ = s.traps.step(place, "", "", after)
	return err
}
