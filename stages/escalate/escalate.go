// Package escalate moves conversations between the bot and people: it hears signals, offers the
// handoff, opens the ticket, pauses the bot, carries messages both ways and gives the conversation
// back.
//
// It reads what consent passed (customers' messages, agents' and bot's replies, ticket events, consent
// notices, blocked texts) and what deliver reports (receipts, delivery states). It emits commands and
// holds to deliver, what it asked to classify, and facts. Behaviour ids (H1, C13 …) are those of the
// product's behaviour table.
//
// Where to look: transitions.go is the episode machine; message.go is the way of a customer's message,
// and the line of it that calls handoff is the one that escalates; signal.go says what a signal is.
package escalate

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/quiet"
)

// DefaultDeskSilence is how long the desk may fail on a ticket before the subscriber is told (H11).
const DefaultDeskSilence = time.Minute

// Config of a Stage.
type Config struct {
	// DeskSilence is how long a ticket may be requested without existing, while the desk is known to fail,
	// before the subscriber is told, once, that support cannot be reached (H11). 0 means DefaultDeskSilence.
	DeskSilence time.Duration
	// Asked is told of every rule that was asked, as it is; for `handoff rules test`. It must not keep the
	// stage waiting. nil: nobody is told.
	Asked func(RuleAsked)
}

// Stage is the escalate stage. It keeps nothing between calls; concurrent use is safe.
type Stage struct {
	deskSilence time.Duration
	asked       func(RuleAsked)
	quiet       *quiet.Table
}

var _ pipeline.Stage = (*Stage)(nil)

// New returns the stage.
func New(cfg Config) (*Stage, error) {
	if cfg.DeskSilence < 0 {
		return nil, errors.New("escalate: Config.DeskSilence must not be negative")
	}
	if cfg.DeskSilence == 0 {
		cfg.DeskSilence = DefaultDeskSilence
	}
	table, err := quiet.Shipped()
	if err != nil {
		return nil, fmt.Errorf("escalate: read quiet hours: %w", err)
	}
	return &Stage{deskSilence: cfg.DeskSilence, asked: cfg.Asked, quiet: table}, nil
}

// Name is "escalate".
func (s *Stage) Name() string { return schemas.StageEscalate }

// Process decides one record or timer; see pipeline.Stage.
func (s *Stage) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	return turn.Process(s, in, st, fx)
}

// On decides one turn; see turn.Decider.
func (s *Stage) On(t *turn.Turn) error {
	if t.Timer != nil {
		return s.onTimer(t)
	}
	if notice := t.Record.GetConsentNotice(); notice != nil {
		return s.onConsentNotice(t, notice)
	}
	if letter := t.Record.GetDeadLetterResolved(); letter != nil {
		s.restateHolds(t)
		t.OpenTexts(letter.GetDeadLetter())
		return nil
	}
	if t.Record.GetConversation() == "" {
		return fmt.Errorf("a %T without a conversation cannot be handled", t.Record.GetBody())
	}
	c := s.load(t, t.Here())
	switch body := t.Record.GetBody().(type) {
	case *handoffv1.Record_CustomerMessage:
		c.onCustomerMessage(body.CustomerMessage)
	case *handoffv1.Record_BotReply:
		c.onBotReply(body.BotReply)
	case *handoffv1.Record_AgentReply:
		c.onAgentReply(body.AgentReply)
	case *handoffv1.Record_TicketEvent:
		c.onTicketEvent(body.TicketEvent)
	case *handoffv1.Record_Receipt:
		c.onReceipt(body.Receipt)
	case *handoffv1.Record_RuleReply:
		c.onRuleReply(body.RuleReply)
	case *handoffv1.Record_BlockedText:
		c.onBlockedText(body.BlockedText)
	case *handoffv1.Record_PlatformSend:
		c.onPlatformSend(body.PlatformSend)
	case *handoffv1.Record_ChannelEcho:
		c.onEcho(body.ChannelEcho)
	case *handoffv1.Record_CommandReturned:
		c.onReturned(body.CommandReturned)
	case *handoffv1.Record_DeskFailing:
		c.onDeskFailing(body.DeskFailing)
	case *handoffv1.Record_TicketShared:
		c.shared(body.TicketShared)
	case *handoffv1.Record_DeliveryState:
		c.onDeliveryState(body.DeliveryState)
	default:
		return fmt.Errorf("escalate does not read %T", body)
	}
	c.runRules()
	c.save()
	return nil
}

// Timers of a conversation are named "<kind>/<conversation>".
const (
	timerLapse = "lapse" // the offer was not answered (H2)
	timerPause = "pause" // people had the conversation for long enough (H7)
	timerBot   = "bot"   // nothing was heard of the bot's turn for far too long (H11)
	timerDesk  = "desk"  // the desk fails on the ticket for too long (H11)
	timerAgent = "agent" // no agent has replied yet (X4)
	timerRule  = "rule:" // followed by the rule's name: its time has come (R1)
	timerPark  = "park"  // parked replies are due, or have waited for too long (W3, C11)
)

func (s *Stage) onTimer(t *turn.Turn) error {
	kind, conversation, _ := strings.Cut(t.Timer.Name, "/")
	at, err := turn.PlaceOf(conversation)
	if err != nil {
		return fmt.Errorf("timer %q: %w", t.Timer.Name, err)
	}
	c := s.load(t, at)
	if name, ok := strings.CutPrefix(kind, timerRule); ok {
		c.onRuleTimer(name)
		c.runRules()
		c.save()
		return nil
	}
	switch kind {
	case timerLapse:
		c.onLapse()
	case timerPause:
		c.onPauseOver()
	case timerBot:
		c.onBotSilent()
	case timerDesk:
		c.onDeskSilent()
	case timerAgent:
		c.onAgentTimer()
	case timerPark:
		c.onParkedDue()
	default:
		return fmt.Errorf("timer %q is none of escalate's", t.Timer.Name)
	}
	c.runRules()
	c.save()
	return nil
}
