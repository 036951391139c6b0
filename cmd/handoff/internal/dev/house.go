package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/config"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/sinks/clickhouse"
	"github.com/handoff-dev/handoff/sinks/clickhouse/embedded"
)

// Options of a House.
type Options struct {
	// Fast shortens the shops' time limits to seconds.
	Fast bool
	// Fixed takes the well-known ports where they are free.
	Fixed bool
	// EngineArgs are the arguments with which this program runs the embedded engine as its child.
	EngineArgs []string
	// Version of the build.
	Version string
	// Progress takes a line per step of the start; nil for none.
	Progress io.Writer
	// Log; nil means slog.Default.
	Log *slog.Logger
}

// House is everything on one machine.
type House struct {
	Outside    *Outside
	Gateway    string
	ClickHouse driver.Conn

	opt      Options
	dir      string
	kafka    *kfake.Cluster
	engine   *embedded.Server
	database *clickhouse.DB
	console  *server
	admin    string
	stop     context.CancelFunc
	ended    chan error
}

// Link is one place of the house.
type Link struct{ Name, URL string }

// Open starts everything and returns when texts can be sent. Close ends it.
func Open(ctx context.Context, opt Options) (*House, error) {
	if opt.Progress == nil {
		opt.Progress = io.Discard
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	h := &House{opt: opt}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Brokers is where the in-memory Kafka listens.
func (h *House) Brokers() string { return h.kafka.ListenAddrs()[0] }

func (h *House) open(ctx context.Context) error {
	var err error
	if h.dir, err = os.MkdirTemp("", "handoff-"); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if h.kafka, err = kfake.NewCluster(kfake.NumBrokers(1)); err != nil {
		return fmt.Errorf("in-memory Kafka: %w", err)
	}
	h.step("Kafka (in memory) on %s", h.Brokers())
	h.engine, err = embedded.Start(ctx, embedded.Options{ExeArgs: h.opt.EngineArgs, Listen: h.address(PortClickHouse), Progress: h.opt.Progress})
	if err != nil {
		return fmt.Errorf("embedded ClickHouse: %w", err)
	}
	h.step("ClickHouse (embedded) on http://%s", h.engine.Addr())
	front, admin := h.address(PortGateway), h.address(PortAdmin)
	h.Gateway, h.admin = "http://"+front, "http://"+admin
	if h.Outside, err = OpenOutside(h.Gateway, h.opt.Fixed); err != nil {
		return err
	}
	h.step("stand-ins for Twilio, an SMS provider, Zendesk, Gorgias and the bot")
	return h.run(ctx, front, admin)
}

// run starts Handoff itself: topics, settings, stages, gateway, console.
func (h *House) run(ctx context.Context, front, admin string) error {
	cfg, err := h.config(front, admin)
	if err != nil {
		return err
	}
	a, err := app.New(cfg, app.Options{Version: h.opt.Version, Secrets: Secret, Log: h.opt.Log})
	if err != nil {
		return err
	}
	if err := a.ApplyTopics(ctx, io.Discard); err != nil {
		return err
	}
	for _, shop := range ShopNames() {
		doc, err := h.Outside.ShopDocument(shop, h.opt.Fast)
		if err != nil {
			return err
		}
		if _, err := a.ApplySettings(ctx, shop, doc); err != nil {
			return fmt.Errorf("settings of %s: %w", shop, err)
		}
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop, h.ended = stop, make(chan error, 1)
	go func() { h.ended <- a.RunAll(running, app.StageNames()) }()
	if h.database, err = clickhouse.Open(clickhouse.Config{Addr: []string{h.engine.Addr()}, Protocol: clickhouse.HTTP, Database: cfg.ClickHouse.Database}); err != nil {
		return err
	}
	h.ClickHouse = h.database.Conn()
	page, err := newConsole(h)
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	port := 0
	if h.opt.Fixed {
		port = PortConsole
	}
	if h.console, err = serve(port, page); err != nil {
		return fmt.Errorf("console: %w", err)
	}
	return h.awaitReady(ctx)
}

func (h *House) config(front, admin string) (*config.Config, error) {
	return config.Load("", []string{
		"kafka.brokers=" + strings.Join(h.kafka.ListenAddrs(), ","), fmt.Sprintf("kafka.partitions=%d", schemas.DemoPartitions),
		"kafka.replication=1", "kafka.unique_ids=true",
		"clickhouse.address=" + h.engine.Addr(), "clickhouse.protocol=http",
		"instance=dev", "state_dir=" + filepath.Join(h.dir, "state"),
		"http.listen=" + front, "http.admin=" + admin, "http.operator_token=env:DEV_OPERATOR",
		"drain=5s",
	})
}

// address is a loopback address on a well-known port where that is wanted and free, else on a free
// one.
func (h *House) address(port int) string {
	wanted := fmt.Sprintf("127.0.0.1:%d", port)
	if h.opt.Fixed {
		if ln, err := net.Listen("tcp", wanted); err == nil && ln.Close() == nil {
			return wanted
		}
	}
	free, err := FreeAddress()
	if err != nil {
		return wanted // whoever listens there will say what is wrong
	}
	return free
}

// awaitReady waits until gateway and stages say they are ready.
func (h *House) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, url := range []string{h.Gateway + "/readyz", h.admin + "/readyz"} {
		for !ready(ctx, url) {
			select {
			case err := <-h.ended:
				h.ended <- err
				return fmt.Errorf("handoff ended while starting: %w", err)
			case <-ctx.Done():
				return fmt.Errorf("%s is not ready: %w", url, ctx.Err())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	h.step("gateway on %s, stages %s", h.Gateway, strings.Join(app.StageNames(), ", "))
	return nil
}

func ready(ctx context.Context, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func (h *House) step(format string, args ...any) {
	fmt.Fprintf(h.opt.Progress, "  "+format+"\n", args...)
}

// Links are the places of the house.
func (h *House) Links() []Link {
	return []Link{
		{"Console", h.console.url}, {"Gateway", h.Gateway + "/readyz"},
		{"Twilio stand-in (acme " + AcmeNumber + ", bloom " + BloomNumber + ")", h.Outside.URL("twilio")},
		{"SMS provider stand-in (cobalt " + CobaltNumber + ")", h.Outside.URL("sms")},
		{"Zendesk stand-in of acme", h.Outside.URL("zendesk")},
		{"Gorgias stand-in of bloom", h.Outside.URL("gorgias")},
		{"Zendesk stand-in of cobalt", h.Outside.URL("zendesk2")},
		{"Bot stand-in", h.Outside.URL("bot")},
		{"ClickHouse (HTTP, database handoff)", "http://" + h.engine.Addr()},
		{"Metrics", h.admin + "/metrics"},
	}
}

// Ended delivers the error with which Handoff ended by itself.
func (h *House) Ended() <-chan error { return h.ended }

// Close ends everything, the stages first, and removes what the house kept on disk.
func (h *House) Close() error {
	var errs []error
	if h.stop != nil {
		h.stop()
		errs = append(errs, <-h.ended)
	}
	if h.console != nil {
		errs = append(errs, h.console.close())
	}
	if h.Outside != nil {
		errs = append(errs, h.Outside.Close())
	}
	if h.database != nil {
		errs = append(errs, h.database.Close())
	}
	if h.engine != nil {
		errs = append(errs, h.engine.Close())
	}
	if h.kafka != nil {
		h.kafka.Close()
	}
	if h.dir != "" {
		errs = append(errs, os.RemoveAll(h.dir))
	}
	return errors.Join(errs...)
}
