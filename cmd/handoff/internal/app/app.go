// Package app wires the parts of Handoff into processes: the one place where stages, connectors,
// sink and runner meet.
package app

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/config"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Secrets resolves a secret's reference.
type Secrets func(settings.SecretRef) (string, error)

// Options of an App that are not configuration.
type Options struct {
	// Version of the build, for metrics.
	Version string
	// Secrets; nil means config.Secret.
	Secrets Secrets
	// HTTP carries requests to the outside; nil means a transport of its own.
	HTTP http.RoundTripper
	// Log; nil means slog.Default.
	Log *slog.Logger
}

// App is one process's parts, made from its configuration. Its methods run them.
type App struct {
	cfg      *config.Config
	opt      Options
	conn     kafka.Connection
	registry *prometheus.Registry
	log      *slog.Logger
}

// New checks what the configuration points at: certificates, secrets. Nothing is connected yet.
func New(cfg *config.Config, opt Options) (*App, error) {
	if opt.Secrets == nil {
		opt.Secrets = config.Secret
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.HTTP == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 64
		opt.HTTP = t
	}
	conn, err := connection(cfg.Kafka, opt.Secrets)
	if err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, opt: opt, conn: conn, registry: prometheus.NewRegistry(), log: opt.Log}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "handoff_build_info", Help: "Always 1; the label tells the version.", ConstLabels: prometheus.Labels{"version": opt.Version}})
	build.Set(1)
	for _, c := range []prometheus.Collector{build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := a.registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return a, nil
}

// StageNames lists the stages in the order of a message's way.
func StageNames() []string {
	return []string{schemas.StageClassify, schemas.StageConsent, schemas.StageEscalate, schemas.StageDeliver, schemas.StageAnalytics}
}
