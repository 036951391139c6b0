package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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
	sink     *kafka.Runner // the one of runners that waits for the database's tables first
}

// RunStages runs stages until ctx ends, then finishes open transactions and running requests within
// the configured bound. It returns an error for what trying again cannot mend.
func (a *App) RunStages(ctx context.Context, names []string) error {
	ln, err := listen("admin endpoint", a.cfg.HTTP.Admin)
	if err != nil {
		return err
	}
	p, err := a.open(ctx, names)
	if err != nil {
		return errors.Join(err, ln.Close(), p.close(a.cfg.Drain))
	}
	group, running := errgroup.WithContext(ctx)
	for _, r := range p.runners {
		group.Go(func() error {
			if r == p.sink && !a.migrated(running, p.database) {
				return nil // stopped before ClickHouse was there
			}
			return r.Run(running)
		})
	}
	group.Go(func() error { return a.admin(running, ln, p.ready) })
	a.log.Info("running", "stages", names, "admin", "http://"+ln.Addr().String())
	return errors.Join(group.Wait(), p.close(a.cfg.Drain))
}

// open makes everything that the stages need; nothing processes yet. What it has opened when it fails
// is in the process that it returns.
func (a *App) open(ctx context.Context, names []string) (*process, error) {
	p := &process{}
	var err error
	if p.store, err = state.OpenStore(state.StoreConfig{Dir: a.cfg.StateDir}); err != nil {
		return p, fmt.Errorf("open state in %s: %w", a.cfg.StateDir, err)
	}
	if p.settings, err = kafka.OpenSettings(ctx, kafka.SettingsConfig{Connection: a.conn, Logger: a.log, Registerer: a.registry}); err != nil {
		return p, err
	}
	all, err := newStages()
	if err != nil {
		return p, err
	}
	for _, s := range all.list() {
		if !slices.Contains(names, s.Name()) {
			continue
		}
		if err := a.addStage(p, s, all); err != nil {
			return p, err
		}
	}
	if slices.Contains(names, schemas.StageAnalytics) {
		return p, a.addSink(p)
	}
	return p, nil
}

// runnerConfig is what every runner of the process has.
func (a *App) runnerConfig(p *process) kafka.Config {
	cfg := kafka.Config{
		Connection: a.conn, Store: p.store, Settings: p.settings, Instance: a.cfg.Instance, Schema: 1,
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
	if s.Name() == schemas.StageDeliver {
		if err := a.openCaller(p, all); err != nil {
			return err
		}
		cfg.Caller = p.caller
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
	p.sink, err = kafka.NewSink(kafka.SinkConfig{
		Config: a.runnerConfig(p), Name: schemas.StageAnalytics,
		Sink: clickhouse.NewSink(p.database, analytics.Schema, analytics.Rows),
	})
	if err != nil {
		return err
	}
	p.runners = append(p.runners, p.sink)
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

// migrated brings the tables up to date, trying until ClickHouse answers: a ClickHouse that is away
// makes analytics start late, and nothing else. It is false when ctx ended first.
func (a *App) migrated(ctx context.Context, db *clickhouse.DB) bool {
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		err := db.Migrate(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		a.log.Warn("analytics waits for ClickHouse", "error", err, "again_in", wait)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// ready tells whether all stages process.
func (p *process) ready() error {
	for _, r := range p.runners {
		if err := r.Ready(); err != nil {
			return err
		}
	}
	return nil
}

// close ends what open made, in the order in which it is needed.
func (p *process) close(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var errs []error
	if p.caller != nil {
		errs = append(errs, p.caller.Close(ctx))
	}
	if p.producer != nil {
		errs = append(errs, p.producer.Close(ctx))
	}
	if p.settings != nil {
		p.settings.Close()
	}
	if p.database != nil {
		errs = append(errs, p.database.Close())
	}
	if p.store != nil {
		errs = append(errs, p.store.Close())
	}
	return errors.Join(errs...)
}
