package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	smssim "github.com/handoff-dev/handoff/connectors/sms/sim"
	zendesksim "github.com/handoff-dev/handoff/connectors/zendesk/sim"
	"github.com/handoff-dev/handoff/sinks/clickhouse/embedded"
)

// The shop of the pipeline's runs. Nothing of it is a secret: the stand-ins listen on loopback.
const (
	chainShop    = "bench"
	chainAccount = "+15550000001"
	chainSecret  = "bench-secret"
)

// chainSettings is the shop's document: the providers' limits are out of the way.
const chainSettings = `shop: bench
name: Bench
support_contact: support@bench.example
accounts:
  - channel: sms
    account: "%[1]s"
    provider: sms
    base_url: %[2]s/send
    secret: env:BENCH_SECRET
    limit: {requests: 100000, per: 1s}
desk:
  kind: zendesk
  base_url: %[3]s
  user: handoff@bench.example
  token: env:BENCH_SECRET
  webhook_secret: env:BENCH_SECRET
  poll: 1h
  limit: {requests: 100000, per: 1s}
`

// house is what the product's program needs around it: stand-ins that answer at once, the ClickHouse
// engine, topics and settings.
type house struct {
	binary  string
	env     []string
	engine  *embedded.Server
	servers []*http.Server
	closers []func()
}

// openHouse builds the program, unless BENCH_HANDOFF names one, starts what it needs and applies topics
// and settings through it.
func openHouse(ctx context.Context, c *cluster, dir string) (*house, error) {
	h := &house{binary: os.Getenv("BENCH_HANDOFF")}
	if h.binary == "" {
		h.binary = filepath.Join(dir, "handoff")
		if err := buildHandoff(ctx, h.binary); err != nil {
			return nil, err
		}
	}
	if err := h.open(ctx, c, dir); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *house) open(ctx context.Context, c *cluster, dir string) error {
	var err error
	h.engine, err = embedded.Start(ctx, embedded.Options{Exe: h.binary, ExeArgs: []string{"clickhouse-engine"}, DataDir: filepath.Join(dir, "clickhouse")})
	if err != nil {
		return fmt.Errorf("start ClickHouse: %w", err)
	}
	sms, err := smssim.New(smssim.Config{Secret: chainSecret})
	if err != nil {
		return fmt.Errorf("start the SMS provider's stand-in: %w", err)
	}
	desk := zendesksim.New(zendesksim.Config{Email: "handoff@bench.example", Token: chainSecret})
	h.closers = append(h.closers, sms.Close, desk.Close)
	smsURL, err := h.serve(sms)
	if err != nil {
		return err
	}
	deskURL, err := h.serve(desk)
	if err != nil {
		return err
	}
	h.env = append(os.Environ(), "BENCH_SECRET="+chainSecret,
		"HANDOFF_KAFKA__BROKERS="+strings.Join(c.brokers, ","), fmt.Sprintf("HANDOFF_KAFKA__PARTITIONS=%d", partitions),
		"HANDOFF_KAFKA__REPLICATION=1", "HANDOFF_INSTANCE=bench", "HANDOFF_STATE_DIR="+filepath.Join(dir, "state"),
		"HANDOFF_CLICKHOUSE__ADDRESS="+h.engine.Addr(), "HANDOFF_CLICKHOUSE__PROTOCOL=http",
		"HANDOFF_HTTP__ADMIN=127.0.0.1:0", "HANDOFF_LOG__LEVEL=warn", "HANDOFF_DRAIN=5s")
	document := filepath.Join(dir, "shop.yaml")
	if err := os.WriteFile(document, fmt.Appendf(nil, chainSettings, chainAccount, smsURL, deskURL), 0o600); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	for _, args := range [][]string{{"topics", "apply"}, {"settings", "apply", "-f", document}} {
		if raw, err := h.command(ctx, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("handoff %s: %w\n%s", strings.Join(args, " "), err, raw)
		}
	}
	return nil
}

// command of the program in its environment.
func (h *house) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, h.binary, args...)
	cmd.Env = h.env
	return cmd
}

// serve serves a stand-in on a free port of loopback.
func (h *house) serve(handler http.Handler) (url string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("serve a stand-in: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	h.servers = append(h.servers, server)
	go func() {
		_ = server.Serve(ln) // until close
	}()
	return "http://" + ln.Addr().String(), nil
}

func (h *house) close() error {
	var errs []error
	for _, s := range h.servers {
		errs = append(errs, s.Close())
	}
	for _, end := range h.closers {
		end()
	}
	if h.engine != nil {
		errs = append(errs, h.engine.Close())
	}
	return errors.Join(errs...)
}
