package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/sinks/clickhouse"
	"github.com/handoff-dev/handoff/stages/analytics"
)

// process is what the stages of one process share.
type process struct {
	store    *state.Store
	settings *kafka.Settings
	producer *kafka.Producer
	caller   *caller.Caller
	database *clickhouse.DB
	runners  []*kafka.Runner
	tables   *tables // nil without analytics
	heap     int64   // bytes of the heap that the stages are configured to take
	// reads tells whether a shop's model was read when the process started; nil without classify.
	reads func(model string) bool
}

// RunStages runs stages until ctx ends, then finishes open transactions and running requests within
// the configured bound. It returns an error for what trying again cannot mend.
func (a *App) RunStages(ctx context.Context, names []string) error {
	return a.serve(ctx, func(ctx context.Context, table *kafka.Settings) ([]part, error) {
		return a.stageParts(ctx, names, table)
	})
}

// RunGateway serves webhooks until ctx ends, then lets requests finish within the configured bound.
func (a *App) RunGateway(ctx context.Context) error {
	return a.serve(ctx, func(_ context.Context, table *kafka.Settings) ([]part, error) { return a.gatewayParts(table) })
}

// RunAll runs stages and gateway in one process.
func (a *App) RunAll(ctx context.Context, names []string) error {
	return a.serve(ctx, func(ctx context.Context, table *kafka.Settings) ([]part, error) {
		front, err := a.gatewayParts(table)
		if err != nil {
			return front, err
		}
		back, err := a.stageParts(ctx, names, table)
		return append(front, back...), err
	})
}

// part is something of a process that runs until its context ends. close is called, after all have
// ended, in the order of parts, also for those that never ran.
type part struct {
	run   func(ctx context.Context) error
	ready func() error
	close func(ctx context.Context) error
}

// serve opens the settings table, makes the parts, and runs them beside the admin endpoint until ctx
// ends or one of them fails.
func (a *App) serve(ctx context.Context, open func(context.Context, *kafka.Settings) ([]part, error)) (err error) {
	ln, err := listen("admin endpoint", a.cfg.HTTP.Admin)
	if err != nil {
		return err
	}
	defer ln.Close() // a second close of a served listener is harmless
	table, err := kafka.OpenSettings(ctx, kafka.SettingsConfig{Connection: a.conn, Logger: a.log, Registerer: a.registry})
	if err != nil {
		return err
	}
	parts, err := open(ctx, table)
	defer func() {
		if errors.Is(err, errDrain) {
			return // something still runs on what would be closed; the end of the process closes it
		}
		err = errors.Join(err, closeParts(parts, a.cfg.Drain))
		table.Close()
	}()
	if err != nil {
		return err
	}
	group, running := errgroup.WithContext(ctx)
	for _, p := range parts {
		if p.run != nil {
			group.Go(func() error { return p.run(running) })
		}
	}
	group.Go(func() error {
		return a.admin(running, ln, func() error {
			for _, p := range parts {
				if p.ready == nil {
					continue
				}
				if err := p.ready(); err != nil {
					return err
				}
			}
			return nil
		})
	})
	a.log.Info("running", "admin", "http://"+ln.Addr().String())
	return within(running, 2*a.cfg.Drain, group.Wait)
}

// errDrain ends a process whose parts did not end in time. Nothing is lost by it: what was not
// committed is done again by the next owner.
var errDrain = errors.New("not everything ended within the drain time; what was not committed is done again at the next start")

// within returns what wait returns, and errDrain when that takes longer than bound after ctx has ended.
func within(ctx context.Context, bound time.Duration, wait func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(bound):
		return errDrain
	}
}

func closeParts(parts []part, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var errs []error
	for _, p := range parts {
		if p.close != nil {
			errs = append(errs, p.close(ctx))
		}
	}
	return errors.Join(errs...)
}

// stageParts makes the runners of stages and what they share.
func (a *App) stageParts(ctx context.Context, names []string, table *kafka.Settings) ([]part, error) {
	p := &process{settings: table}
	err := a.open(p, names)
	shared := part{close: p.close}
	if err != nil {
		return []part{shared}, err
	}
	var parts []part
	for _, r := range p.runners {
		parts = append(parts, part{ready: r.Ready, run: r.Run})
	}
	if p.caller != nil {
		parts = append(parts, part{run: func(ctx context.Context) error { return keepMemoryLimit(ctx, p.heap, p.caller.HeapBytes) }})
	}
	if p.tables != nil {
		parts = append(parts, part{ready: p.tables.ready, run: p.tables.run})
	}
	if p.reads != nil {
		parts = append(parts, part{run: func(ctx context.Context) error {
			missModels(ctx, a.log, table, p.reads)
			return nil
		}})
	}
	a.log.Info("stages", "names", names)
	return append(parts, shared), ctx.Err()
}

// open makes everything that the stages need; nothing processes yet. What it has opened when it fails
// is in the process.
func (a *App) open(p *process, names []string) error {
	var err error
	if p.store, err = state.OpenStore(state.StoreConfig{Dir: a.cfg.StateDir, BlockCache: int64(len(names)) * state.StageBlockCache, Logger: a.log}); err != nil {
		return fmt.Errorf("open state in %s: %w", a.cfg.StateDir, err)
	}
	if err := a.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "handoff_state_bytes", Help: "Local state of all stages of the process on disk, in bytes.",
	}, func() float64 { return float64(p.store.DiskBytes()) })); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	p.heap = int64(len(names)) * a.runnerConfig(p).HeapBytes()
	limitMemory(p.heap)
	all, err := a.runningStages(names)
	if err != nil {
		return err
	}
	if slices.Contains(names, schemas.StageClassify) {
		p.reads = func(model string) bool { return all.models[model] != nil }
	}
	for _, s := range all.list() {
		if !slices.Contains(names, s.Name()) {
			continue
		}
		if err := a.addStage(p, s, all); err != nil {
			return err
		}
	}
	if slices.Contains(names, schemas.StageAnalytics) {
		return a.addSink(p)
	}
	return nil
}

// runningStages makes the stages with what only a process that runs them needs: the ledger's key.
func (a *App) runningStages(names []string) (stages, error) {
	key, err := a.LedgerKey()
	if err != nil {
		return stages{}, err
	}
	if len(key) == 0 && slices.Contains(names, schemas.StageConsent) {
		a.log.Warn("consent.ledger_key is not set: evidence of consent is kept for good, though shops set a time (C9)")
	}
	return newStagesOf(stageConfig{deskSilence: a.cfg.Escalate.DeskSilence, reading: a.cfg.Classifier, ledgerKey: key})
}

// LedgerKey is the secret of the hash that evidence of consent is reduced to; empty where none is set.
func (a *App) LedgerKey() ([]byte, error) {
	key, err := a.opt.Secrets(a.cfg.Consent.LedgerKey)
	if err != nil {
		return nil, fmt.Errorf("consent.ledger_key: %w", err)
	}
	return []byte(key), nil
}

// runnerConfig is what every runner of the process has.
func (a *App) runnerConfig(p *process) kafka.Config {
	cfg := kafka.Config{
		Connection: a.conn, Store: p.store, Settings: p.settings, Instance: a.cfg.Instance, Schema: stateSchema,
		SessionTimeout: a.cfg.Kafka.SessionTimeout, TransactionTimeout: a.cfg.Kafka.TransactionTimeout,
		Members: a.cfg.Run.Members, Standby: a.cfg.Run.Standby, CacheBytes: a.cfg.Run.CacheMiB << 20,
		DrainWait: a.cfg.Drain, Logger: a.log, Registerer: a.registry,
	}
	if a.cfg.Kafka.UniqueIDs {
		cfg.Instance = ""
	}
	return cfg
}

func (a *App) addStage(p *process, s pipeline.Stage, all stages) error {
	cfg := a.runnerConfig(p)
	cfg.Stage = s
	if c, ok := s.(contracted); ok {
		for _, post := range c.Contract().Posts {
			cfg.Outputs = append(cfg.Outputs, post.Topic)
		}
	}
	if s.Name() == schemas.StageDeliver {
		if err := a.openCaller(p, all); err != nil {
			return err
		}
		cfg.Caller = p.caller
		for _, post := range caller.Posts() {
			cfg.Outputs = append(cfg.Outputs, post.Topic)
		}
	}
	r, err := kafka.New(cfg)
	if err != nil {
		return err
	}
	p.runners = append(p.runners, r)
	return nil
}

// openCaller makes what makes outside calls.
func (a *App) openCaller(p *process, all stages) error {
	var err error
	if p.producer, err = kafka.NewProducer(kafka.ProducerConfig{Connection: a.conn}); err != nil {
		return err
	}
	destinations, err := a.destinations()
	if err != nil {
		return err
	}
	p.caller, err = caller.New(caller.Config{
		Gate: all.deliver, Destinations: destinations, Poster: poster{p.producer}, Partitions: a.cfg.Kafka.Partitions,
		TellFailing:    slices.Concat(slices.Sorted(maps.Keys(desks())), slices.Sorted(maps.Keys(channels()))),
		Incarnation:    fmt.Sprintf("%s-%x", a.cfg.Instance, time.Now().UnixNano()),
		RequestTimeout: a.cfg.Outside.RequestTimeout, Settle: a.cfg.Outside.Settle,
		Log: a.log, Registerer: a.registry,
	})
	return err
}

// poster posts the caller's results.
type poster struct{ *kafka.Producer }

// Post implements caller.Poster.
func (p poster) Post(ctx context.Context, topic string, key, value []byte) error {
	return p.Produce(ctx, pipeline.Emit{Topic: topic, Key: key, Value: value})
}

// addSink connects analytics to ClickHouse.
func (a *App) addSink(p *process) error {
	if a.cfg.ClickHouse.Address == "" {
		return errors.New("analytics needs clickhouse.address; leave the stage out to run without ClickHouse")
	}
	var err error
	if p.database, err = a.openClickHouse(); err != nil {
		return err
	}
	p.tables = &tables{Sink: clickhouse.NewSink(p.database, analytics.Schema, analytics.Rows), db: p.database, log: a.log}
	r, err := kafka.NewSink(kafka.SinkConfig{Config: a.runnerConfig(p), Name: schemas.StageAnalytics, Sink: p.tables})
	if err != nil {
		return err
	}
	p.runners = append(p.runners, r)
	return nil
}

func (a *App) openClickHouse() (*clickhouse.DB, error) {
	c := a.cfg.ClickHouse
	password, err := a.opt.Secrets(c.Password)
	if err != nil {
		return nil, fmt.Errorf("clickhouse.password: %w", err)
	}
	cfg := clickhouse.Config{
		Addr: []string{c.Address}, Protocol: clickhouse.Protocol(c.Protocol), Database: c.Database,
		Username: c.User, Password: password, Cluster: c.Cluster, Replicated: c.Cluster != "",
	}
	if c.TLS.Enabled {
		if cfg.TLS, err = tlsConfig(c.TLS); err != nil {
			return nil, fmt.Errorf("clickhouse.tls: %w", err)
		}
	}
	return clickhouse.Open(cfg)
}

// close ends what open made, in the order in which it is needed.
func (p *process) close(ctx context.Context) error {
	var errs []error
	if p.caller != nil {
		errs = append(errs, p.caller.Close(ctx))
	}
	if p.producer != nil {
		errs = append(errs, p.producer.Close(ctx))
	}
	if p.database != nil {
		errs = append(errs, p.database.Close())
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	return errors.Join(errs...)
}

// stateSchema is the version of the stages' state entries.
const stateSchema = 1
