// Package gateway is Handoff's front door: HTTP in, records out.
//
// It reads POST /in/<provider>/<shop>/<account> (messages of a channel), the same with
// /status/<call id> (delivery callbacks), POST /in/<desk>/<shop> (a help desk's hints) and
// POST /shops/<shop>/settings, POST /in/platform/<shop> (what the messaging platform sent by itself, to
// handoff.consent) and POST /shops/<shop>/consent and below it (what it knows of consent, to the same), and
// answers GET /shops/<shop>/episodes/<address>. It
// posts CustomerMessage records to handoff.classify, DeliveryState and TicketChanged to handoff.deliver,
// and gives the provider's own success answer only after Kafka acknowledged every record of the request. Everything else is refused with a reason and counted.
//
// HTTP decides who may come in: shop and account, size, signature. What came in is a Watermill
// message from there on: the front door is a subscriber, a Watermill router carries each message
// through recovery, time-out and throttle to the handler that decodes, completes and publishes it, and
// its Ack is the answer. How a provider signs, writes and wants to be answered is its connector's
// ingress.Webhook.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Defaults of Config.
const (
	// DefaultMaxBody of one webhook, in bytes. Real ones have a few kilobytes.
	DefaultMaxBody = schemas.MaxRecordBytes / 4
	// DefaultMaxPending bytes wait for Kafka's acknowledgement.
	DefaultMaxPending = 32 << 20
	// DefaultAckTimeout stays below the five seconds that Twilio waits for an answer.
	DefaultAckTimeout = 4 * time.Second
	// DefaultShopRate of webhooks a second, and DefaultShopBurst at once, per shop.
	DefaultShopRate  = 500
	DefaultShopBurst = 1000
	// DefaultDrain bounds a graceful end.
	DefaultDrain = 10 * time.Second
)

// MessageFunc makes the Watermill message that the publisher writes as one Kafka record.
type MessageFunc func(id string, key, value []byte, at time.Time) *message.Message

// ApplyFunc stores a settings document, checked before, as the shop's next version, and returns that
// version once Kafka acknowledged it. An *settings.Error refuses the document.
type ApplyFunc func(ctx context.Context, shop string, document []byte) (version uint64, err error)

// Config of a Gateway. Fields without a default are required.
type Config struct {
	// Channels are the webhooks of channel providers, by the name in the path and in Account.Provider.
	Channels map[string]ingress.Webhook
	// Desks are the webhooks of help desks, by the name in the path and in Desk.Kind.
	Desks map[string]ingress.Webhook
	// Platform is the webhook of the messaging platform, at /in/platform/<shop>; nil for none.
	Platform ingress.Webhook
	// Settings is the table of all shops.
	Settings pipeline.Settings
	// SettingsLoaded tells whether the table was read to its end; until then every webhook is answered
	// 503, since an unknown shop cannot be told from one not read yet.
	SettingsLoaded func() bool
	// Episodes tells which conversations of an address people have, nil for none; an error says that this is
	// not known yet. nil: nobody can ask.
	Episodes func(shop, address string) (*handoffv1.WithPeople, error)
	// Secret resolves a reference.
	Secret func(settings.SecretRef) (string, error)
	// Apply stores settings; nil refuses them with 404.
	Apply ApplyFunc
	// OperatorToken is the bearer token of everything under /shops/<shop>; empty refuses all.
	OperatorToken string
	// Publisher writes to Kafka. Publish returns nil only when every message was acknowledged, keeps
	// the order of one call's messages, obeys their contexts, and is safe for concurrent use. The
	// gateway does not close it.
	Publisher message.Publisher
	// Message makes what Publisher takes.
	Message MessageFunc
	// Reader asks the classifiers that shops have outside; nil asks none.
	Reader Reader
	// WhyNotWritten says, within seconds, what keeps Kafka from taking what the gateway posts; nil where that is
	// not known. It is asked before Run takes the first request and when records begin not to be acknowledged, and
	// told in the log and by /readyz. nil: nobody is asked.
	WhyNotWritten func(ctx context.Context) error
	// Ready adds a condition to /readyz; nil for none.
	Ready func() error
	// PublicURL is the base that providers call, e.g. "https://in.example.com"; it replaces scheme and
	// host (and precedes the path) in the URL that signatures are checked against. Empty: taken from
	// the request.
	PublicURL string
	// TrustForwarded takes scheme and host from X-Forwarded-Proto and -Host. Only for a gateway that
	// is reachable through a proxy alone which sets both.
	TrustForwarded bool
	// MaxBody of a request in bytes, at most a quarter of schemas.MaxRecordBytes, since a byte that is
	// not UTF-8 becomes three. Default DefaultMaxBody.
	MaxBody int
	// MaxPending bounds the bytes of requests that wait for Kafka; above it 503. Default
	// DefaultMaxPending.
	MaxPending int
	// AckTimeout bounds the wait for Kafka's acknowledgement, then 503. Default DefaultAckTimeout.
	AckTimeout time.Duration
	// ShopRate and ShopBurst limit the webhooks of one shop; a request waits for its turn within
	// AckTimeout, else 429. Defaults DefaultShopRate, DefaultShopBurst.
	ShopRate  float64
	ShopBurst int
	// Drain bounds how long Run lets requests finish. Default DefaultDrain.
	Drain time.Duration
	// Now is the clock that stamps received_at. Default time.Now.
	Now func() time.Time
	// Log; default slog.Default. Requests are logged at debug level only, and never what is in them.
	Log *slog.Logger
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
}

// complete fills in defaults and checks the rest.
func (c *Config) complete() error {
	setDefault(&c.MaxBody, DefaultMaxBody)
	setDefault(&c.MaxPending, DefaultMaxPending)
	setDefault(&c.AckTimeout, DefaultAckTimeout)
	setDefault(&c.ShopRate, DefaultShopRate)
	setDefault(&c.ShopBurst, DefaultShopBurst)
	setDefault(&c.Drain, DefaultDrain)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	return c.check()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) check() error {
	var problems []error
	require := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, errors.New(problem))
		}
	}
	require(c.Settings != nil, "Settings is missing")
	require(c.SettingsLoaded != nil, "SettingsLoaded is missing")
	require(c.Secret != nil, "Secret is missing")
	require(c.Publisher != nil, "Publisher is missing")
	require(c.Message != nil, "Message is missing")
	require(len(c.Channels)+len(c.Desks) > 0, "there is no channel and no desk")
	require(c.MaxBody > 0 && c.MaxBody <= schemas.MaxRecordBytes/4, fmt.Sprintf("MaxBody is not within 1 to %d", schemas.MaxRecordBytes/4))
	require(c.MaxPending >= c.MaxBody+requestOverhead, "MaxPending is less than one request")
	require(c.AckTimeout > 0 && c.Drain > 0, "AckTimeout and Drain must be positive")
	require(c.ShopRate > 0 && c.ShopBurst > 0, "ShopRate and ShopBurst must be positive")
	if c.PublicURL != "" {
		u, err := url.Parse(c.PublicURL)
		require(err == nil && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && (u.Scheme == "https" || u.Scheme == "http"),
			"PublicURL is not a base like https://in.example.com")
	}
	if len(problems) > 0 {
		return fmt.Errorf("gateway config: %w", errors.Join(problems...))
	}
	return nil
}

// Gateway serves webhooks. Make one with New and run it with Run.
type Gateway struct {
	cfg     Config
	door    *frontDoor
	router  *message.Router
	pending *pending
	limits  *shopLimits
	metrics *metrics
	kafka   *acknowledgements
	// draining is set when Run begins to end.
	draining atomic.Bool
}

// New checks the configuration and makes a gateway. Nothing runs until Run.
func New(cfg Config) (*Gateway, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	g := &Gateway{
		cfg:     cfg,
		door:    newFrontDoor(),
		pending: newPending(cfg.MaxPending),
		limits:  newShopLimits(cfg.ShopRate, cfg.ShopBurst),
		kafka:   newAcknowledgements(&cfg),
	}
	var err error
	if g.metrics, err = newMetrics(cfg.Registerer, g.pending); err != nil {
		return nil, err
	}
	if g.router, err = g.newRouter(); err != nil {
		return nil, err
	}
	return g, nil
}
