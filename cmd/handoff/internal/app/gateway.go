package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/handoff-dev/handoff/connectors/gateway"
	"github.com/handoff-dev/handoff/connectors/platform"
	"github.com/handoff-dev/handoff/connectors/reader"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/kafka/episodes"
	"github.com/handoff-dev/handoff/pipeline/kafka/pubsub"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

// gatewayParts makes the gateway, bound to its address.
func (a *App) gatewayParts(table *kafka.Settings) ([]part, error) {
	token, err := a.opt.Secrets(a.cfg.HTTP.OperatorToken)
	if err != nil {
		return nil, fmt.Errorf("http.operator_token: %w", err)
	}
	publisher, err := pubsub.NewPublisher(pubsub.PublisherConfig{Connection: a.conn, Timeout: gateway.DefaultAckTimeout})
	if err != nil {
		return nil, err
	}
	shared := part{close: func(context.Context) error { return publisher.Close() }}
	admin, err := kafka.NewAdmin(a.conn)
	if err != nil {
		return []part{shared}, err
	}
	shared.close = func(context.Context) error {
		admin.Close()
		return publisher.Close()
	}
	outside, err := reader.New(reader.Config{Intents: intent.All(), Secret: a.opt.Secrets, Registerer: a.registry})
	if err != nil {
		return []part{shared}, err
	}
	shared.close = func(context.Context) error {
		outside.Close()
		admin.Close()
		return publisher.Close()
	}
	people, err := episodes.Open(episodes.Config{Connection: a.conn, Logger: a.log})
	if err != nil {
		return []part{shared}, err
	}
	following := part{run: people.Run, close: func(context.Context) error {
		people.Close()
		return nil
	}}
	g, err := gateway.New(gateway.Config{
		Channels: channels(), Desks: desks(), Platform: platform.Webhook{}, Settings: table, SettingsLoaded: func() bool { return true },
		Episodes: people.Of, Secret: a.opt.Secrets, Apply: a.ApplySettings, OperatorToken: token,
		Publisher: publisher, WhyNotWritten: a.whyNotPosted, Message: newMessage, PublicURL: a.cfg.HTTP.PublicURL, Reader: outside,
		Drain: a.cfg.Drain, Log: a.log, Registerer: a.registry,
	})
	if err != nil {
		return []part{following, shared}, fmt.Errorf("gateway: %w", err)
	}
	ln, err := listen("gateway", a.cfg.HTTP.Listen)
	if err != nil {
		return []part{following, shared}, err
	}
	a.log.Info("gateway", "listen", "http://"+ln.Addr().String(), "public", a.cfg.HTTP.PublicURL)
	serve := part{
		ready: g.Ready,
		run:   func(ctx context.Context) error { return g.Run(ctx, ln) },
		close: func(context.Context) error { return ignoreClosed(ln.Close()) },
	}
	return []part{serve, following, shared}, nil
}

// whyNotPosted says what keeps the topics that the gateway posts to from being written.
func (a *App) whyNotPosted(ctx context.Context) error {
	var topics []string
	for _, post := range gateway.Posts() {
		if !slices.Contains(topics, post.Topic) {
			topics = append(topics, post.Topic)
		}
	}
	err := a.conn.WhyNotWritten(ctx, topics...)
	if kafka.Refused(err) {
		return fmt.Errorf("%w; \"handoff acls gateway\" lists all that the gateway needs", err)
	}
	return err
}
