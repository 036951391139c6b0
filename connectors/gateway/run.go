package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of a connection: what a slow or idle client can hold.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	idleTimeout       = 90 * time.Second
	maxHeaderBytes    = 64 << 10
)

// Run serves on ln until ctx ends, then takes nothing new, lets requests finish within Config.Drain,
// and returns. It closes ln. A gateway runs once. The error is nil after a clean end.
func (g *Gateway) Run(ctx context.Context, ln net.Listener) error {
	// The router outlives ctx: requests that are being served still need it.
	routerDone := make(chan error, 1)
	go func() { routerDone <- g.router.Run(context.WithoutCancel(ctx)) }()
	select {
	case <-g.router.Running():
	case err := <-routerDone:
		return errors.Join(fmt.Errorf("start the gateway's router: %w", err), ln.Close())
	}

	server := &http.Server{
		Handler:           g.routes(),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      readTimeout + g.cfg.AckTimeout + time.Second,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(g.cfg.Log.Handler(), slog.LevelDebug),
	}
	asking, enough := context.WithCancel(ctx)
	var following sync.WaitGroup
	following.Go(func() { g.kafka.follow(asking) })
	defer following.Wait()
	defer enough()
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-served:
		failed = fmt.Errorf("serve HTTP: %w", failed)
	case failed = <-routerDone:
		failed = fmt.Errorf("the gateway's router ended: %w", failed)
	}
	g.draining.Store(true)
	return errors.Join(failed, g.drain(server))
}

// drain ends the server, then the router. Requests that do not finish in time are cut off; their
// records may or may not have reached Kafka, and their providers got no success answer.
func (g *Gateway) drain(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.Drain)
	defer cancel()
	var failed error
	if err := server.Shutdown(ctx); err != nil {
		failed = errors.Join(fmt.Errorf("requests were cut off after %s: %w", g.cfg.Drain, err), server.Close())
	}
	if err := g.router.Close(); err != nil {
		failed = errors.Join(failed, fmt.Errorf("close the gateway's router: %w", err))
	}
	return failed
}
