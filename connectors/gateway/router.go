package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"golang.org/x/time/rate"

	"github.com/handoff-dev/handoff/schemas"
)

// ackSlack is how much longer HTTP waits than the publisher may take, so that a publisher that obeys
// its context is the one that says what went wrong.
const ackSlack = 250 * time.Millisecond

// newRouter makes the Watermill router that every verified request passes.
func (g *Gateway) newRouter() (*message.Router, error) {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: g.cfg.Drain}, quietLogger{log: g.cfg.Log})
	if err != nil {
		return nil, fmt.Errorf("make the gateway's router: %w", err)
	}
	router.AddMiddleware(
		reportError,
		middleware.Recoverer,
		middleware.Timeout(g.cfg.AckTimeout),
		g.limits.throttle,
	)
	router.AddConsumerHandler("webhooks", "webhooks", g.door, g.post)
	return router, nil
}

type exchangeKey struct{}

func exchangeOf(msg *message.Message) *exchange {
	return msg.Context().Value(exchangeKey{}).(*exchange)
}

// carry takes a verified request through the router. It returns nil when Kafka acknowledged all
// there was to post.
func (g *Gateway) carry(ctx context.Context, x *exchange) error {
	n := len(x.req.Body)
	if !g.pending.take(n) {
		return refuse(busy, "too many requests wait for Kafka")
	}
	msg := message.NewMessage(watermill.NewShortUUID(), x.req.Body)
	msg.SetContext(context.WithValue(ctx, exchangeKey{}, x))
	middleware.SetCorrelationID(correlation(x, msg.UUID), msg)

	ctx, cancel := context.WithTimeout(ctx, g.cfg.AckTimeout+ackSlack)
	defer cancel()
	if err := g.door.enter(ctx, msg); err != nil {
		g.pending.give(n)
		return &refusal{outcome: busy, reason: "the gateway takes no more requests now", cause: err}
	}
	select {
	case <-msg.Acked():
		g.pending.give(n)
		g.kafka.succeeded(x.outcome)
		return nil
	case <-msg.Nacked():
		g.pending.give(n)
		return g.notPosted(x.err)
	case <-ctx.Done():
		// The publisher hangs. What it holds stays counted until it lets go.
		go func() {
			select {
			case <-msg.Acked():
			case <-msg.Nacked():
			}
			g.pending.give(n)
		}()
		return g.notPosted(&publishError{err: context.Cause(ctx)})
	}
}

// notPosted says why a message was not acknowledged. err is nil when the router gave the message up
// without handling it.
func (g *Gateway) notPosted(err error) error {
	if err == nil {
		return &refusal{outcome: busy, reason: "the gateway takes no more requests now", cause: errDoorClosed}
	}
	if p, ok := errors.AsType[*publishError](err); ok {
		g.kafka.failed(p.err)
		return &refusal{outcome: unacknowledged, reason: "Kafka did not acknowledge the message; send it again", cause: p.err}
	}
	return err
}

// correlation names the request across systems: its trace, or the id given to it here.
func correlation(x *exchange, id string) string {
	if x.traceparent != "" {
		return x.traceparent[3:35]
	}
	return id
}

// publishError is a failure of the publisher, as opposed to one of the request.
type publishError struct{ err error }

// Error says that publishing failed, and how.
func (p *publishError) Error() string { return "publish: " + p.err.Error() }

// Unwrap returns the publisher's error.
func (p *publishError) Unwrap() error { return p.err }

// post is the router's handler: it decodes a verified request, completes its records and publishes
// them, in order.
func (g *Gateway) post(msg *message.Message) error {
	x := exchangeOf(msg)
	events, err := x.hook.Decode(&x.req)
	if err != nil {
		return decodeError(err)
	}
	postings, o, err := x.postings(events)
	if err != nil {
		return err
	}
	g.askReaders(msg.Context(), x, postings)
	if err := g.publish(msg, postings); err != nil {
		return err
	}
	x.outcome = o
	return nil
}

// publish writes the records, those of one topic in order, and returns when Kafka acknowledged all.
func (g *Gateway) publish(in *message.Message, postings []posting) error {
	var topics []string
	byTopic := map[string][]*message.Message{}
	for _, p := range postings {
		value, err := schemas.EncodeOutside(p.record)
		if err != nil {
			return unencodable(err)
		}
		key := schemas.KeyOf(p.record).Bytes()
		out := g.cfg.Message(schemas.HexID(p.record.GetId()), key, value, p.record.GetReceivedAt().AsTime())
		out.SetContext(in.Context())
		middleware.SetCorrelationID(middleware.MessageCorrelationID(in), out)
		if _, ok := byTopic[p.topic]; !ok {
			topics = append(topics, p.topic)
		}
		byTopic[p.topic] = append(byTopic[p.topic], out)
	}
	for _, topic := range topics {
		if err := g.cfg.Publisher.Publish(topic, byTopic[topic]...); err != nil {
			return &publishError{err: fmt.Errorf("%s: %w", topic, err)}
		}
		g.metrics.records.WithLabelValues(topic).Add(float64(len(byTopic[topic])))
	}
	return nil
}

// reportError leaves the handler's error where HTTP finds it after the Nack.
func reportError(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		x := exchangeOf(msg)
		out, err := next(msg)
		x.err = err
		return out, err
	}
}

// shopLimits throttles per shop. It holds one bucket per shop that has sent a verified request.
type shopLimits struct {
	rate  rate.Limit
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

func newShopLimits(perSecond float64, burst int) *shopLimits {
	return &shopLimits{rate: rate.Limit(perSecond), burst: burst, buckets: map[string]*rate.Limiter{}}
}

func (l *shopLimits) bucket(shop string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[shop]
	if b == nil {
		b = rate.NewLimiter(l.rate, l.burst)
		l.buckets[shop] = b
	}
	return b
}

// throttle is a middleware that lets a message wait for its shop's turn within the message's
// deadline. Watermill's own throttle is one for all messages, ticks while idle and waits without
// bound.
func (l *shopLimits) throttle(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		if err := l.bucket(exchangeOf(msg).req.Shop.Shop).Wait(msg.Context()); err != nil {
			return nil, &refusal{outcome: throttled, reason: "the shop sends more than it may; slow down", cause: err}
		}
		return next(msg)
	}
}

// quietLogger passes Watermill's log on at debug level: it says one line per failing message, which
// the gateway counts and sums up instead.
type quietLogger struct {
	log    *slog.Logger
	fields watermill.LogFields
}

// Error logs at debug level.
func (q quietLogger) Error(msg string, err error, fields watermill.LogFields) {
	q.write(msg, fields.Add(watermill.LogFields{"error": err}))
}

// Info logs at debug level.
func (q quietLogger) Info(msg string, fields watermill.LogFields) { q.write(msg, fields) }

// Debug logs at debug level.
func (q quietLogger) Debug(msg string, fields watermill.LogFields) { q.write(msg, fields) }

// Trace drops the line: there are several per message.
func (q quietLogger) Trace(string, watermill.LogFields) {}

// With returns a logger with more fields.
func (q quietLogger) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return quietLogger{log: q.log, fields: q.fields.Add(fields)}
}

func (q quietLogger) write(msg string, fields watermill.LogFields) {
	if !q.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	args := make([]any, 0, 2*(len(q.fields)+len(fields)))
	for _, set := range []watermill.LogFields{q.fields, fields} {
		for name, value := range set {
			args = append(args, name, value)
		}
	}
	q.log.Debug("router: "+msg, args...)
}
