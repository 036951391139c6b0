package app

import (
	"fmt"
	"net/http"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/classifier"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/config"
	"github.com/handoff-dev/handoff/connectors/bot"
	"github.com/handoff-dev/handoff/connectors/gorgias"
	"github.com/handoff-dev/handoff/connectors/reader"
	"github.com/handoff-dev/handoff/connectors/sms"
	"github.com/handoff-dev/handoff/connectors/twilio"
	"github.com/handoff-dev/handoff/connectors/zendesk"
	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/pipeline/script"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/stages/classify"
	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/model"
	"github.com/handoff-dev/handoff/stages/consent"
	"github.com/handoff-dev/handoff/stages/deliver"
	"github.com/handoff-dev/handoff/stages/escalate"
)

// stages are the deciding stages, in the order of a message's way.
type stages struct {
	classify *classify.Stage
	consent  *consent.Stage
	escalate *escalate.Stage
	deliver  *deliver.Stage
	// models are the shops' own, by name.
	models map[string]*model.Model
}

// newStages makes them; what cfg leaves zero has the stage's default.
func newStages(cfg config.Escalate, reading config.Classifier) (s stages, err error) {
	return newStagesOf(stageConfig{deskSilence: cfg.DeskSilence, reading: reading})
}

// stageConfig is what stages are made of that is not the shops' settings.
type stageConfig struct {
	reading     config.Classifier
	deskSilence time.Duration
	ledgerKey   []byte
	// asked is told what rules were asked; nil: nobody is.
	asked func(escalate.RuleAsked)
}

func newStagesOf(cfg stageConfig) (s stages, err error) {
	if s.models, err = classifier.ReadModels(cfg.reading.Models); err != nil {
		return s, err
	}
	if s.classify, err = classify.New(classify.Config{Models: s.models}); err != nil {
		return s, err
	}
	if s.consent, err = consent.New(consent.Config{LedgerKey: cfg.ledgerKey}); err != nil {
		return s, err
	}
	if s.escalate, err = escalate.New(escalate.Config{DeskSilence: cfg.deskSilence, Asked: cfg.asked}); err != nil {
		return s, err
	}
	s.deliver, err = deliver.New(deliver.Config{})
	return s, err
}

func (s stages) list() []pipeline.Stage {
	return []pipeline.Stage{s.classify, s.consent, s.escalate, s.deliver}
}

// Topology is what conversation scripts run: the same stages and the same gate as in production. models is
// the directory of shops' own; "" for none.
func Topology(models string) (script.Topology, error) { return TopologyAsked(models, nil) }

// TopologyAsked is Topology with an ear for what rules were asked.
func TopologyAsked(models string, asked func(escalate.RuleAsked)) (script.Topology, error) {
	s, err := newStagesOf(stageConfig{
		asked: asked, reading: config.Classifier{Models: models}, ledgerKey: []byte("a key for scripts, which is no secret"),
	})
	return script.Topology{Stages: s.list(), Gate: s.deliver, Check: CheckSettings, Outside: outsideReading}, err
}

// outsideReading is what the gateway would make of an answer of the shop's own classifier, or of its failure.
func outsideReading(shop *settings.Shop, said []byte, failed string) *handoffv1.OutsideReading {
	return reader.Reading(shop, intent.All(), said, failed)
}

// destinations are the outside systems that deliver calls, by the names calls carry.
func (a *App) destinations() (map[string]caller.Destination, error) {
	tw, err := twilio.New(twilio.Config{Transport: a.opt.HTTP, PublicURL: a.cfg.HTTP.PublicURL, Secret: a.opt.Secrets})
	if err != nil {
		return nil, fmt.Errorf("twilio: %w", err)
	}
	generic, err := sms.New(sms.Config{Secret: a.opt.Secrets})
	if err != nil {
		return nil, fmt.Errorf("sms: %w", err)
	}
	b, err := bot.New(bot.Config{Transport: a.opt.HTTP, Secret: a.opt.Secrets})
	if err != nil {
		return nil, fmt.Errorf("bot: %w", err)
	}
	client := &http.Client{Transport: a.opt.HTTP}
	zd, err := zendesk.New(zendesk.Config{HTTP: client, Secret: a.opt.Secrets})
	if err != nil {
		return nil, fmt.Errorf("zendesk: %w", err)
	}
	gg, err := gorgias.New(gorgias.Config{HTTP: client, Secret: a.opt.Secrets})
	if err != nil {
		return nil, fmt.Errorf("gorgias: %w", err)
	}
	return map[string]caller.Destination{twilio.Name: tw, sms.Name: generic, deliver.Bot: b, zendesk.Name: zd, gorgias.Name: gg}, nil
}

// channels and desks are the webhooks that the gateway serves.
func channels() map[string]ingress.Webhook {
	return map[string]ingress.Webhook{twilio.Name: twilio.Webhook{}, sms.Name: sms.Webhook{}}
}

func desks() map[string]ingress.Webhook {
	return map[string]ingress.Webhook{zendesk.Name: zendesk.Webhook{}, gorgias.Name: gorgias.Webhook{}}
}
