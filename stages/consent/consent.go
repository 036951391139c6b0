// Package consent is the stage that keeps who may be texted. It holds the ledger, answers STOP, START
// and HELP, and gates what agents and the bot say.
//
// It reads
//   - CustomerMessage, from classify: STOP, START and HELP change the ledger and are answered here
//     (C2–C4); every other message is stamped and passed to escalate, the first one making its writer
//     conversational. Where the shop wants subscriptions confirmed, it is held until they are (C6).
//   - AgentReply, from deliver in the desk's order: drops one it has seen; #optout (C8); what the gate
//     passes goes on to escalate with its stamp, what it does not as BlockedText (C7).
//   - BotReply, from deliver: drops one it has seen; gated alike. One without a text always passes.
//   - PlatformSend, from the gateway: drops one it has seen, passes on.
//   - ChannelEcho, from deliver: passes on.
//   - TicketEvent, from deliver: drops one it has seen, remembers whether the ticket is open, passes on.
//   - Receipt, from deliver: one that says the provider opted the address out changes the ledger (C10).
//   - ConsentDecision, from the gateway and `handoff consent decide`: what a person decided of possible
//     opt-outs (C5).
//   - ConsentImport, from the same: what the platform knows (C14).
//   - LinkRequest and UnlinkRequest, from the same, and Link and Linked, from consent of other keys: addresses of one person
//     (W7).
//   - DeadLetterResolved, from classify, deliver and `handoff dlq`: tells deliver again what counts, which may be
//     what deliver lost, and passes it on to escalate.
//
// It posts ConsentChanged to deliver in the transaction of each change, keyword answers as commands to
// deliver with Asked to classify, ConsentNotice and BlockedText to escalate, and facts to analytics;
// changes of the status to the platform as well (C14).
//
// State: the ledger (LedgerHead, LedgerLine, ScopeConsent, OptOutSaid) for the address, ConsentConversation and
// EndedTicket for each conversation. Of all changes whose scope covers a conversation's account the
// newest counts. OptIn and HeldMessage are what waits for the answer to the opt-in question. One timer
// per conversation ends the time in which agents may answer an opted-out person (C13), one per scope the
// wait for that answer (C6), one per conversation the wait for a decision on a possible opt-out
// (PossibleOptOut, C5). Subscriber counts who has had the address (C15), Person is who it is known as with others (W7).
// One timer per address has the ledger's evidence reduced when its time is over (ReducedLedger, C9).
package consent

import (
	"fmt"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/quiet"
)

// Config of the stage. The rest of what can be set is in the shop's settings.
type Config struct {
	// LedgerKey is the secret of the hash that evidence is reduced to when its time is over (C9), at least
	// evidence.MinKey bytes, the same in all processes. Empty: evidence is kept for good.
	LedgerKey []byte
}

// Stage is the consent stage. See the package comment for what it reads and posts.
type Stage struct {
	quiet     *quiet.Table
	ledgerKey []byte
}

var (
	_ pipeline.Stage          = (*Stage)(nil)
	_ pipeline.FailureHandler = (*Stage)(nil)
	_ pipeline.Carrier        = (*Stage)(nil)
)

// New returns the stage. An error says what of the configuration cannot be.
func New(cfg Config) (*Stage, error) {
	if n := len(cfg.LedgerKey); n > 0 && n < evidence.MinKey {
		return nil, fmt.Errorf("consent: the ledger's key has %d bytes, want at least %d", n, evidence.MinKey)
	}
	table, err := quiet.Shipped()
	if err != nil {
		return nil, fmt.Errorf("read quiet hours: %w", err)
	}
	return &Stage{quiet: table, ledgerKey: cfg.LedgerKey}, nil
}

// Name returns "consent".
func (s *Stage) Name() string { return schemas.StageConsent }

// Process decides one record or timer; see pipeline.Stage.
func (s *Stage) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	return turn.Process(s, in, st, fx)
}

// Failed shuts the address's texts: the lost record could have been an opt-out.
func (s *Stage) Failed(in *pipeline.Input, deadLetter string, _ error, fx *pipeline.Effects) {
	turn.ShutTexts(s.Name(), in, deadLetter, fx)
}

// Carry keeps the versions of ledgers when they are rebuilt: deliver compares them, and a change that
// counted from one again would not count there.
func (s *Stage) Carry(name string) bool { return name == headEntry }

// Repeat tells what may be put out again when ledgers are rebuilt: changes of consent to deliver, which takes
// only what is newer than what it has. Everything else would be taken for new: messages would be handled,
// keyword answers sent and changes counted a second time.
func (s *Stage) Repeat(e *pipeline.Emit) bool {
	if e.Topic != schemas.TopicDeliver {
		return false
	}
	r, err := schemas.Decode(e.Key, e.Value)
	return err == nil && r.GetConsentChanged() != nil
}

// On decides a turn.
func (s *Stage) On(t *turn.Turn) error {
	if t.Timer != nil {
		return s.onTimer(t)
	}
	if t.Record.GetDeadLetterResolved() != nil {
		restate(t)
		t.Forward(schemas.TopicEscalate, nil) // behind what came of the lost record: a pause may
		return nil
	}
	if known, err := aboutAddress(t); known {
		return err
	}
	if t.Record.GetConversation() == "" {
		return fmt.Errorf("%w: no conversation", schemas.ErrRecord)
	}
	switch body := t.Record.GetBody().(type) {
	case *handoffv1.Record_CustomerMessage:
		customerMessage(t, body.CustomerMessage)
	case *handoffv1.Record_AgentReply:
		if !t.Seen() {
			s.agentReply(t, body.AgentReply)
		}
	case *handoffv1.Record_BotReply:
		if !t.Seen() {
			botReply(t, body.BotReply)
		}
	case *handoffv1.Record_PlatformSend:
		if !t.Seen() {
			forward(t) // it was sent: nothing is left to judge (H13)
		}
	case *handoffv1.Record_ChannelEcho:
		forward(t) // it was sent in the channel's own app (H14); deliver has dropped repetitions
	case *handoffv1.Record_RuleReply:
		ruleReply(t, body.RuleReply)
	case *handoffv1.Record_TicketEvent:
		if !t.Seen() {
			ticketEvent(t, body.TicketEvent)
		}
	case *handoffv1.Record_Receipt:
		receipt(t, body.Receipt)
	default:
		return fmt.Errorf("%w: consent does not read %T", schemas.ErrRecord, body)
	}
	return nil
}

// aboutAddress decides what concerns the address as a whole. It tells whether the record does. What was seen
// before changes nothing.
func aboutAddress(t *turn.Turn) (known bool, err error) {
	switch body := t.Record.GetBody().(type) {
	case *handoffv1.Record_ConsentDecision:
		if !t.Seen() {
			decision(t, body.ConsentDecision)
		}
	case *handoffv1.Record_ConsentImport:
		if !t.Seen() {
			err = importConsent(t, body.ConsentImport)
		}
	case *handoffv1.Record_LinkRequest:
		if !t.Seen() {
			linkRequest(t, body.LinkRequest)
		}
	case *handoffv1.Record_UnlinkRequest:
		if !t.Seen() {
			unlinkRequest(t, body.UnlinkRequest)
		}
	case *handoffv1.Record_Link:
		if !t.Seen() {
			link(t, body.Link)
		}
	case *handoffv1.Record_Linked:
		if !t.Seen() {
			linked(t, body.Linked.GetLink())
		}
	default:
		return false, nil
	}
	return true, err
}

// customerMessage decides a message by its directive.
func customerMessage(t *turn.Turn, m *handoffv1.CustomerMessage) {
	wrote(t, m)
	switch m.GetClassification().GetDirective() {
	case handoffv1.Directive_DIRECTIVE_STOP:
		stop(t, m)
	case handoffv1.Directive_DIRECTIVE_START:
		start(t, m, keywordSource(m))
	case handoffv1.Directive_DIRECTIVE_HELP:
		help(t, m)
	case handoffv1.Directive_DIRECTIVE_YES:
		yes(t, m)
	case handoffv1.Directive_DIRECTIVE_NO:
		no(t, m)
	case handoffv1.Directive_DIRECTIVE_UNSPECIFIED:
		pass(t, m)
	}
	if m.GetClassification().GetPossibleOptOut() {
		possibleOptOut(t, m)
	}
}

// pass stamps a message and hands it to escalate, whatever the status: what an opted-out person writes
// is escalate's to decide (C13). A message whose writer has to confirm first is held (C6). What everybody can
// read changes no consent (C1): its writer stays unknown.
func pass(t *turn.Turn, m *handoffv1.CustomerMessage) {
	now := current(t, t.Here())
	switch now.GetStatus() {
	case handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED:
		if !m.GetPublicPost() {
			allowAnswers(t, now)
			now = current(t, t.Here())
		}
	case handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED:
	default:
		if awaitOptIn(t, m, now) {
			return
		}
		if t.Shop.Consent.DoubleOptIn {
			now = current(t, t.Here()) // who was unknown may have been made pending just now
		}
		if !m.GetPublicPost() && now.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSPECIFIED {
			firstMessage(t)
			now = current(t, t.Here())
		}
	}
	now.forward(t)
}

// forward hands the turn's record to escalate with the stamp of the moment.
func forward(t *turn.Turn) { current(t, t.Here()).forward(t) }

// forward is that where this counts.
func (s standing) forward(t *turn.Turn) {
	stamp := s.stamp(t, t.Here())
	t.Forward(schemas.TopicEscalate, func(r *handoffv1.Record) { r.Consent = stamp })
}

// notice tells escalate of a change.
func notice(t *turn.Turn, at turn.Place, n *handoffv1.ConsentNotice) {
	r := t.Make(at)
	r.Consent = stampOf(t, at)
	r.Body = &handoffv1.Record_ConsentNotice{ConsentNotice: n}
	t.Emit(schemas.TopicEscalate, r)
}
