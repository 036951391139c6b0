package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"text/template"
	"time"

	botsim "github.com/handoff-dev/handoff/connectors/bot/sim"
	gorgiassim "github.com/handoff-dev/handoff/connectors/gorgias/sim"
	smssim "github.com/handoff-dev/handoff/connectors/sms/sim"
	twiliosim "github.com/handoff-dev/handoff/connectors/twilio/sim"
	zendesksim "github.com/handoff-dev/handoff/connectors/zendesk/sim"
)

// Ports of the house where they are free.
const (
	PortGateway    = 8080
	PortTwilio     = 8081
	PortSMS        = 8082
	PortBot        = 8083
	PortZendesk    = 8084
	PortGorgias    = 8085
	PortZendesk2   = 8086
	PortConsole    = 8088
	PortAdmin      = 9090
	PortClickHouse = 8123
)

// Outside is the outside world on loopback: stand-ins for the providers, the desks and the bot.
type Outside struct {
	Twilio   *twiliosim.Sim
	SMS      *smssim.Sim
	Bot      *botsim.Sim
	Zendesk  *zendesksim.Sim // acme's
	Gorgias  *gorgiassim.Sim // bloom's
	Zendesk2 *zendesksim.Sim // cobalt's

	servers map[string]*server
	closers []func()
	phones  *phones
}

// OpenOutside starts the stand-ins. gateway is where their webhooks go. With fixed they take the
// house's ports where those are free.
func OpenOutside(gateway string, fixed bool) (*Outside, error) {
	o := &Outside{servers: map[string]*server{}}
	if err := o.open(gateway, fixed); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

func (o *Outside) open(gateway string, fixed bool) error {
	var err error
	hook := func(provider, shop, account string) string {
		return gateway + "/in/" + path.Join(provider, shop, account)
	}
	o.Twilio, err = twiliosim.New(twiliosim.Config{AccountSID: twilioSID, AuthToken: twilioToken, WebhookRetries: 5, Numbers: []twiliosim.Number{
		{Number: AcmeNumber, Webhook: hook("twilio", "acme", AcmeNumber)},
		{Number: BloomNumber, Webhook: hook("twilio", "bloom", BloomNumber)},
	}})
	if err != nil {
		return fmt.Errorf("twilio stand-in: %w", err)
	}
	o.closers = append(o.closers, o.Twilio.Close)
	o.SMS, err = smssim.New(smssim.Config{Secret: smsSecret, Statuses: true, Webhooks: map[string]string{CobaltNumber: hook("sms", "cobalt", CobaltNumber)}})
	if err != nil {
		return fmt.Errorf("sms stand-in: %w", err)
	}
	o.closers = append(o.closers, o.SMS.Close)
	o.Bot = botsim.New(botsim.Config{})
	o.closers = append(o.closers, o.Bot.Close)
	o.Zendesk = zendesksim.New(zendesksim.Config{Email: "handoff@acme.example", Token: deskToken, WebhookURL: hook("zendesk", "acme", ""), WebhookSecret: deskWebhook})
	o.Gorgias = gorgiassim.New(gorgiassim.Config{Email: "handoff@bloom.example", Key: deskToken, WebhookURL: hook("gorgias", "bloom", ""), WebhookSecret: deskWebhook, WebhookRetries: 3, WebhookRetryAfter: time.Second})
	o.Zendesk2 = zendesksim.New(zendesksim.Config{Email: "handoff@cobalt.example", Token: deskToken, WebhookURL: hook("zendesk", "cobalt", ""), WebhookSecret: deskWebhook})
	o.phones = watchPhones(o.Twilio, o.SMS)
	o.closers = append(o.closers, o.phones.close, o.Zendesk.Close, o.Gorgias.Close, o.Zendesk2.Close)
	for _, s := range []struct {
		name string
		port int
		h    http.Handler
	}{
		{"twilio", PortTwilio, o.Twilio}, {"sms", PortSMS, o.SMS}, {"bot", PortBot, o.Bot},
		{"zendesk", PortZendesk, o.Zendesk}, {"gorgias", PortGorgias, o.Gorgias}, {"zendesk2", PortZendesk2, o.Zendesk2},
	} {
		if !fixed {
			s.port = 0
		}
		running, err := serve(s.port, s.h)
		if err != nil {
			return fmt.Errorf("%s stand-in: %w", s.name, err)
		}
		o.servers[s.name] = running
	}
	return nil
}

// URL of a stand-in: twilio, sms, bot, zendesk, gorgias or zendesk2.
func (o *Outside) URL(name string) string { return o.servers[name].url }

// Close ends the stand-ins.
func (o *Outside) Close() error {
	for _, closeSim := range o.closers {
		closeSim()
	}
	var errs []error
	for name, s := range o.servers {
		if err := s.close(); err != nil {
			errs = append(errs, fmt.Errorf("%s stand-in: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// fastLimits shorten the shops' time limits to seconds, so that a minute of play shows a day.
const fastLimits = `handoff:
  offer_lapses: 6s
  offer_again_after: 6s
  pause_for: 8s
  reopen_within: {sms: 20s}
` + limits + `  conversational_for: 10m
`

// limits leave quiet hours out: somebody tries the shops out at any hour.
const limits = `consent:
  quiet_hours: false
`

// ShopDocument is the settings document of a shop of the house, its outside addresses filled in. With
// fast its time limits are seconds.
func (o *Outside) ShopDocument(shop string, fast bool) ([]byte, error) {
	t, err := template.ParseFS(shopFiles, "shops/"+shop+".yaml")
	if err != nil {
		return nil, fmt.Errorf("shop %s: %w", shop, err)
	}
	tuned, poll := limits, "10m"
	if fast {
		tuned, poll = fastLimits, "5s"
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]string{
		"Twilio": o.URL("twilio"), "TwilioSID": twilioSID, "SMS": o.URL("sms") + "/send", "Bot": o.URL("bot") + "/ask",
		"Zendesk": o.URL("zendesk"), "Gorgias": o.URL("gorgias"), "Zendesk2": o.URL("zendesk2"), "Limits": tuned, "Poll": poll,
	})
	if err != nil {
		return nil, fmt.Errorf("shop %s: %w", shop, err)
	}
	return out.Bytes(), nil
}

// Text lets a customer text a shop's number through its provider's stand-in, again until the gateway
// has taken it, and returns the provider's id of the text.
func (o *Outside) Text(ctx context.Context, from, to, body string) (string, error) {
	if to == CobaltNumber {
		id, err := o.SMS.Text(ctx, from, to, body)
		return id, insist(ctx, id, err, o.SMS.Redeliver)
	}
	id, err := o.Twilio.Text(ctx, twiliosim.Text{From: from, To: to, Body: body})
	return id, insist(ctx, id, err, o.Twilio.Redeliver)
}

// insist brings a text that was not taken to its webhook again until it is.
func insist(ctx context.Context, id string, err error, again func(context.Context, string) error) error {
	for err != nil && id != "" {
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(200 * time.Millisecond):
			err = again(ctx, id)
		}
	}
	return err
}
