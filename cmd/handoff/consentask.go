package main

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/consentask"
)

// ofAddress is what commands have in common that are about one address.
type ofAddress struct {
	Shop    string `arg:"" help:"The shop."`
	Address string `arg:"" help:"The address, e.g. +14155550123."`
}

// key is the address's; errors are of usage.
func (c ofAddress) key() (schemas.Key, error) {
	key, err := schemas.ParseKey([]byte(c.Shop + "|" + c.Address))
	if err != nil {
		return key, fmt.Errorf("%w: %w", errUsage, err)
	}
	return key, nil
}

// filing opens what posts to the consent stage for a shop.
func (s *session) filing(shop string) (*app.Filing, error) {
	a, err := s.app()
	if err != nil {
		return nil, err
	}
	return a.OpenFiling(s.ctx, shop)
}

// asker is who asks.
type asker struct {
	By string `placeholder:"WHO" help:"Who asks; the user of this machine unless given."`
}

type consentDecide struct {
	ofAddress
	Decision string `arg:"" enum:"opt-out,keep" help:"opt-out: they want no more texts. keep: they did not mean that."`
	asker
	Reason string `placeholder:"TEXT" help:"Why, for the record."`
}

// Run posts the decision.
func (c *consentDecide) Run(s *session) error {
	return c.ask(s, consentask.Decide, consentask.Ask{Decision: c.Decision, By: c.By, Reason: c.Reason}, c.Decision)
}

type consentLink struct {
	ofAddress
	Other string `arg:"" help:"The other."`
	asker
}

// Run posts the request.
func (c *consentLink) Run(s *session) error {
	return c.ask(s, consentask.Link, consentask.Ask{Other: c.Other, By: c.By}, "the link with "+c.Other)
}

type consentUnlink struct {
	ofAddress
	asker
	Reason string `placeholder:"TEXT" help:"Why, for the record."`
}

// Help says what stays.
func (c *consentUnlink) Help() string {
	return "The person's other addresses stay linked. Conversations, tickets and ledgers never moved, so nothing moves back. An opt-out from everything of the shop that the link spread stays, until the person lifts it by START or an import says so. See docs/consent.md."
}

// Run posts the request.
func (c *consentUnlink) Run(s *session) error {
	return c.ask(s, consentask.Unlink, consentask.Ask{By: c.By, Reason: c.Reason}, "that it is another person's")
}

// ask posts what is asked about the address. what names it in words.
func (c ofAddress) ask(s *session, kind consentask.Kind, a consentask.Ask, what string) error {
	a.Address = c.Address
	if a.By == "" {
		a.By = whoAmI()
	}
	key, err := c.key()
	if err != nil {
		return err
	}
	r, err := a.Record(kind)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	f, err := s.filing(c.Shop)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	r.Id = schemas.SourceID(string(kind), c.Shop, r.GetAddress(), now.Format(time.RFC3339Nano))
	r.Shop, r.SettingsVersion = c.Shop, f.Version
	r.EventTime, r.ReceivedAt = timestamppb.New(now), timestamppb.New(now)
	if err := errors.Join(f.File(r), f.Close()); err != nil {
		return err
	}
	fmt.Printf("%s: %s is posted; handoff consent show tells what came of it\n", key, what)
	return nil
}
