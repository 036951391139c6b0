// Package deliver is the outbox. It reads commands, what consent and escalate say about what may
// leave, hints and callbacks from outside, and the results of its own calls. It emits receipts and
// delivery states to escalate, what the desk and the bot say to consent, and facts to analytics. The
// calls themselves are made by pipeline/caller, which asks Release just before each request.
package deliver

import (
	"fmt"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/quiet"
)

// Bot is the destination of AskBot.
const Bot = "bot"

// Config of the stage: how long calls are tried whose command names no time, and how long texts are
// remembered. Zero values mean the defaults.
type Config struct {
	// TextFor is the time a text has; default 24 h.
	TextFor time.Duration
	// KeywordAnswerFor is the time an answer to STOP, START or HELP has; default and at most 5 minutes
	// (C2).
	KeywordAnswerFor time.Duration
	// DeskFor is the time a change at the desk has; default 7 days, so that a ticket is retried until it
	// exists (H11).
	DeskFor time.Duration
	// FetchFor is the time a fetch has; default 24 h. The next hint asks again for the same.
	FetchFor time.Duration
	// RememberFor is how long a text's provider id is known to callbacks; default 31 days.
	RememberFor time.Duration
}

// Stage is deliver. It implements pipeline.Stage and caller.Gate.
type Stage struct {
	cfg   Config
	quiet *quiet.Table
}

var (
	_ pipeline.Stage          = (*Stage)(nil)
	_ pipeline.FailureHandler = (*Stage)(nil)
	_ caller.Gate             = (*Stage)(nil)
)

// New returns the stage. An error names the setting that cannot be.
func New(cfg Config) (*Stage, error) {
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
		most  time.Duration
	}{
		{"TextFor", &cfg.TextFor, 24 * time.Hour, 0},
		{"KeywordAnswerFor", &cfg.KeywordAnswerFor, 5 * time.Minute, 5 * time.Minute},
		{"DeskFor", &cfg.DeskFor, 7 * 24 * time.Hour, 0},
		{"FetchFor", &cfg.FetchFor, 24 * time.Hour, 0},
		{"RememberFor", &cfg.RememberFor, 31 * 24 * time.Hour, 0},
	} {
		if *d.value < 0 || (d.most > 0 && *d.value > d.most) {
			return nil, fmt.Errorf("deliver: %s is %v, want more than 0%s", d.name, *d.value, atMost(d.most))
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	table, err := quiet.Shipped()
	if err != nil {
		return nil, fmt.Errorf("deliver: read quiet hours: %w", err)
	}
	return &Stage{cfg: cfg, quiet: table}, nil
}

func atMost(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return fmt.Sprintf(" and at most %v", d)
}

// Name is "deliver".
func (s *Stage) Name() string { return schemas.StageDeliver }

// Process decides one record or timer.
func (s *Stage) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	return turn.Process(s, in, st, fx)
}

// On decides one turn.
func (s *Stage) On(t *turn.Turn) error {
	if t.Timer != nil {
		return s.onTimer(t)
	}
	switch body := t.Record.GetBody().(type) {
	case *handoffv1.Record_Command:
		return s.onCommand(t, body.Command)
	case *handoffv1.Record_CallResult:
		return s.onCallResult(t, body.CallResult)
	case *handoffv1.Record_DeskFailing:
		s.onFailing(t, body.DeskFailing)
		return nil
	case *handoffv1.Record_AttemptStarted:
		return s.onAttemptStarted(t, body.AttemptStarted)
	case *handoffv1.Record_ConsentChanged:
		return s.onConsentChanged(t, body.ConsentChanged)
	case *handoffv1.Record_Hold:
		return s.onHold(t, body.Hold)
	case *handoffv1.Record_TextGate:
		return s.onTextGate(t, body.TextGate)
	case *handoffv1.Record_DeadLetterResolved:
		// Behind what came of the lost record: consent may change by it yet.
		t.Forward(schemas.TopicConsent, nil)
		return nil
	case *handoffv1.Record_TicketChanged:
		return s.onTicketChanged(t, body.TicketChanged)
	case *handoffv1.Record_ChannelEcho:
		s.onChannelEcho(t, body.ChannelEcho)
		return nil
	case *handoffv1.Record_DeliveryState:
		return s.onDeliveryState(t, body.DeliveryState)
	default:
		return fmt.Errorf("deliver does not read a %T", body)
	}
}
