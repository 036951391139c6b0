package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/consentask"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// providerConsent is the metric's label of calls about consent.
const providerConsent = "consent"

// platformCall is an authorised call about a shop's people, on its way to Kafka.
type platformCall struct {
	*exchange
	by string
}

// platform checks who calls, finds the shop, and reads the body.
func (g *Gateway) platform(w http.ResponseWriter, r *http.Request) (*platformCall, error) {
	c, err := g.caller(w, r)
	if err != nil {
		return nil, err
	}
	c.req.Body, err = g.readBody(w, r)
	return c, err
}

// caller checks who calls and finds the shop; the body is not read yet.
func (g *Gateway) caller(w http.ResponseWriter, r *http.Request) (*platformCall, error) {
	if err := g.authorised(r); err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return nil, err
	}
	c := &platformCall{exchange: &exchange{provider: providerConsent}, by: r.URL.Query().Get("by")}
	if c.by == "" {
		c.by = "the platform"
	}
	if err := g.shopOf(c.exchange, r); err != nil {
		return nil, err
	}
	c.req.Now = g.cfg.Now().UTC().Truncate(time.Millisecond)
	c.traceparent = traceparent(r.Header)
	return c, nil
}

// ask serves POST /shops/<shop>/consent/decisions, links and unlinks: an object with the fields of one ask about
// an address.
func (g *Gateway) ask(kind consentask.Kind) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) (string, outcome, error) {
		c, err := g.platform(w, r)
		if err != nil {
			return providerConsent, "", err
		}
		var a consentask.Ask
		if err := c.read(&a); err != nil {
			return providerConsent, "", err
		}
		record, err := a.Record(kind)
		if bad, ok := errors.AsType[*consentask.Error](err); ok {
			return providerConsent, "", &ingress.Malformed{Place: bad.Place, Reason: bad.Reason}
		}
		if err != nil {
			return providerConsent, "", err
		}
		c.complete(kind, record)
		if err := g.file(r.Context(), len(c.req.Body), []*handoffv1.Record{record}); err != nil {
			return providerConsent, "", err
		}
		writeJSON(w, http.StatusAccepted, map[string]int{"taken": 1})
		return providerConsent, accepted, nil
	}
}

// read decodes the call's body, an object without unknown fields.
func (c *platformCall) read(into any) error {
	d := json.NewDecoder(bytes.NewReader(c.req.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return &ingress.Malformed{Place: "body", Reason: "it is no JSON object with the known fields"}
	}
	return nil
}

// complete fills in what the gateway knows of a record about an address as a whole. A call that is repeated
// makes the same id within the same moment only: what it asks for can be asked for again.
func (c *platformCall) complete(kind consentask.Kind, r *handoffv1.Record) {
	at := timestamppb.New(c.req.Now)
	r.Shop, r.SettingsVersion, r.Traceparent = c.req.Shop.Shop, c.version, c.traceparent
	r.Id = schemas.SourceID(string(kind), r.GetShop(), r.GetAddress(), c.req.Now.Format(time.RFC3339Nano)+string(c.req.Body))
	r.EventTime, r.ReceivedAt = at, at
}

// file posts records to consent, made of n bytes of a request, and returns when Kafka acknowledged all.
func (g *Gateway) file(ctx context.Context, n int, records []*handoffv1.Record) error {
	if !g.pending.take(n) {
		return refuse(busy, "too many requests wait for Kafka")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.AckTimeout)
	msg := message.NewMessage(watermill.NewShortUUID(), nil)
	msg.SetContext(ctx)
	postings := make([]posting, len(records))
	for i, r := range records {
		postings[i] = posting{topic: schemas.TopicConsent, record: r}
	}
	published := make(chan error, 1)
	go func() {
		defer cancel()
		err := g.publish(msg, postings)
		g.pending.give(n)
		published <- err
	}()
	// A publisher may hang with what it has sent, until it knows what came of it: that stays counted, and nobody waits.
	late := time.NewTimer(g.cfg.AckTimeout + ackSlack)
	defer late.Stop()
	select {
	case err := <-published:
		if err != nil {
			return g.notPosted(err)
		}
	case <-late.C:
		return g.notPosted(&publishError{err: context.DeadlineExceeded})
	}
	g.kafka.succeeded(accepted)
	return nil
}
