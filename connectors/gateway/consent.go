package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
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

// decide serves POST /shops/<shop>/consent/decisions: what a person decided of the possible opt-outs of
// an address (C5).
func (g *Gateway) decide(w http.ResponseWriter, r *http.Request) (string, outcome, error) {
	c, err := g.platform(w, r)
	if err != nil {
		return providerConsent, "", err
	}
	var d struct {
		Address  string `json:"address"`
		Decision string `json:"decision"`
		By       string `json:"by"`
		Reason   string `json:"reason"`
	}
	if err := c.read(&d); err != nil {
		return providerConsent, "", err
	}
	if !validAddress(d.Address) {
		return providerConsent, "", &ingress.Malformed{Place: "address", Reason: "it is missing or cannot be one"}
	}
	if d.Decision != "opt-out" && d.Decision != "keep" {
		return providerConsent, "", &ingress.Malformed{Place: "decision", Reason: "it is neither opt-out nor keep"}
	}
	if strings.TrimSpace(d.By) == "" {
		return providerConsent, "", &ingress.Malformed{Place: "by", Reason: "it must say who decided"}
	}
	record := c.about(d.Address, "decision", &handoffv1.Record{Body: &handoffv1.Record_ConsentDecision{ConsentDecision: &handoffv1.ConsentDecision{
		OptOut: d.Decision == "opt-out", By: d.By, Reason: d.Reason,
	}}})
	return c.fileOne(g, w, r, record)
}

// link serves POST /shops/<shop>/consent/links: two addresses are one person's (W7).
func (g *Gateway) link(w http.ResponseWriter, r *http.Request) (string, outcome, error) {
	c, err := g.platform(w, r)
	if err != nil {
		return providerConsent, "", err
	}
	var l struct {
		Address string `json:"address"`
		Other   string `json:"other"`
		By      string `json:"by"`
	}
	if err := c.read(&l); err != nil {
		return providerConsent, "", err
	}
	if !validAddress(l.Address) || !validAddress(l.Other) || l.Address == l.Other {
		return providerConsent, "", &ingress.Malformed{Place: "body", Reason: "address and other must be two addresses"}
	}
	if strings.TrimSpace(l.By) == "" {
		return providerConsent, "", &ingress.Malformed{Place: "by", Reason: "it must say who links them"}
	}
	record := c.about(min(l.Address, l.Other), "link", &handoffv1.Record{Body: &handoffv1.Record_LinkRequest{LinkRequest: &handoffv1.LinkRequest{
		Other: max(l.Address, l.Other), By: l.By,
	}}})
	return c.fileOne(g, w, r, record)
}

// unlink serves POST /shops/<shop>/consent/unlinks: an address is not the person's that it was linked as (W7).
func (g *Gateway) unlink(w http.ResponseWriter, r *http.Request) (string, outcome, error) {
	c, err := g.platform(w, r)
	if err != nil {
		return providerConsent, "", err
	}
	var u struct {
		Address string `json:"address"`
		By      string `json:"by"`
		Reason  string `json:"reason"`
	}
	if err := c.read(&u); err != nil {
		return providerConsent, "", err
	}
	if !validAddress(u.Address) {
		return providerConsent, "", &ingress.Malformed{Place: "address", Reason: "it is missing or cannot be one"}
	}
	if strings.TrimSpace(u.By) == "" {
		return providerConsent, "", &ingress.Malformed{Place: "by", Reason: "it must say who undoes the link"}
	}
	return c.fileOne(g, w, r, c.about(u.Address, "unlink", &handoffv1.Record{Body: &handoffv1.Record_UnlinkRequest{UnlinkRequest: &handoffv1.UnlinkRequest{
		By: u.By, Reason: u.Reason,
	}}}))
}

// fileOne posts one record and answers.
func (c *platformCall) fileOne(g *Gateway, w http.ResponseWriter, r *http.Request, record *handoffv1.Record) (string, outcome, error) {
	if err := g.file(r.Context(), len(c.req.Body), []*handoffv1.Record{record}); err != nil {
		return providerConsent, "", err
	}
	writeJSON(w, http.StatusAccepted, map[string]int{"taken": 1})
	return providerConsent, accepted, nil
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

// about completes a record about an address as a whole. A call that is repeated makes the same id within
// the same moment only: what it asks for can be asked for again.
func (c *platformCall) about(address, what string, r *handoffv1.Record) *handoffv1.Record {
	at := timestamppb.New(c.req.Now)
	r.Id = schemas.SourceID(what, c.req.Shop.Shop, address, c.req.Now.Format(time.RFC3339Nano)+string(c.req.Body))
	r.Shop, r.Address, r.SettingsVersion, r.Traceparent = c.req.Shop.Shop, address, c.version, c.traceparent
	r.EventTime, r.ReceivedAt = at, at
	return r
}

// file posts records to consent, made of n bytes of a request, and returns when Kafka acknowledged all.
func (g *Gateway) file(ctx context.Context, n int, records []*handoffv1.Record) error {
	if !g.pending.take(n) {
		return refuse(busy, "too many requests wait for Kafka")
	}
	defer g.pending.give(n)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.cfg.AckTimeout)
	defer cancel()
	msg := message.NewMessage(watermill.NewShortUUID(), nil)
	msg.SetContext(ctx)
	postings := make([]posting, len(records))
	for i, r := range records {
		postings[i] = posting{topic: schemas.TopicConsent, record: r}
	}
	if err := g.publish(msg, postings); err != nil {
		return g.notPosted(err)
	}
	g.kafka.succeeded(accepted)
	return nil
}
