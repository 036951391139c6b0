package deliver

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Failed shuts the address's texts where the lost record could have been what forbids one: consent, a
// hold, another shut gate, or a provider's word that the person opted out there.
func (s *Stage) Failed(in *pipeline.Input, deadLetter string, _ error, fx *pipeline.Effects) {
	if in.Record == nil {
		return // its timers decide nothing about texts
	}
	r := &handoffv1.Record{}
	if err := proto.Unmarshal(in.Record.Value, r); err == nil {
		switch r.GetBody().(type) {
		case *handoffv1.Record_Command:
			if r.GetCommand().GetAskBot() != nil {
				questionLost(r, fx)
			}
			return
		case *handoffv1.Record_TicketChanged, *handoffv1.Record_AttemptStarted, *handoffv1.Record_DeskFailing:
			return
		}
	}
	turn.ShutTexts(s.Name(), in, deadLetter, fx)
}

// questionLost tells escalate that the bot will not be asked: nobody else would ever say so (H11). Asked later after
// all, when the dead letter is put back, it is late.
func questionLost(r *handoffv1.Record, fx *pipeline.Effects) {
	out := &handoffv1.Record{
		Id: schemas.EffectID(r.GetId(), schemas.StageDeliver+"/lost", 0), Shop: r.GetShop(), Channel: r.GetChannel(),
		Account: r.GetAccount(), Address: r.GetAddress(), Conversation: r.GetConversation(), EventTime: r.GetEventTime(),
		ReceivedAt: r.GetReceivedAt(), SettingsVersion: r.GetSettingsVersion(), Traceparent: r.GetTraceparent(), Consent: r.GetConsent(),
		Body: &handoffv1.Record_Receipt{Receipt: &handoffv1.Receipt{
			CallId: schemas.HexID(r.GetId()), Action: handoffv1.Action_ACTION_ASK_BOT,
			Outcome: &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Meaning: "the question was lost"},
		}},
	}
	if value, err := schemas.Encode(out); err == nil { // a record made of a decoded one encodes
		fx.Emit(schemas.TopicEscalate, schemas.KeyOf(out).Bytes(), value)
	}
}

// onConsentChanged keeps the newest change of each scope. Of one that comes behind a newer, for it was lost and put
// back or told again, what was decided before it is refused, as if it had come in time (C2).
func (s *Stage) onConsentChanged(t *turn.Turn, c *handoffv1.ConsentChanged) error {
	if c.GetScope() == "" {
		return fmt.Errorf("a consent change without a scope")
	}
	name, old := t.Join(consentPrefix, c.GetScope()), turn.Zero[statev1.GateConsent](t)
	if t.Get(name, old) && old.GetVersion() >= c.GetVersion() {
		if c.GetVersion() > old.GetShutVersion() && !slices.Contains(c.GetAllowed(), handoffv1.TextClass_TEXT_CLASS_AGENT) {
			old.ShutVersion = c.GetVersion()
			t.Put(name, old)
		}
		return nil
	}
	now := turn.New(t, statev1.GateConsent{
		Version: c.GetVersion(), Status: c.GetStatus(), Allowed: c.GetAllowed(), At: c.GetAt(), ShutVersion: old.GetShutVersion(),
	})
	if !allows(now, handoffv1.TextClass_TEXT_CLASS_AGENT) {
		now.ShutVersion = now.GetVersion()
	}
	t.Put(name, now)
	waitNoLonger(t, func(at turn.Place, text *handoffv1.SendText) bool {
		return slices.Contains(scopes(at), c.GetScope()) && !allows(now, text.GetTextClass())
	})
	return nil
}

// waitNoLonger has texts that wait for their time (Command.not_before) judged now: what may not leave any
// more is not to keep what stands behind it in its lane waiting.
func waitNoLonger(t *turn.Turn, is func(turn.Place, *handoffv1.SendText) bool) {
	for _, e := range t.Stored(callPrefix) {
		open := turn.Zero[statev1.OpenCall](t)
		t.Decode(e.Name, e.Value, open)
		text := open.GetRecord().GetCommand().GetSendText()
		if text != nil && open.GetNotBefore() != nil && is(placeOf(open.GetRecord()), text) {
			open.NotBefore = nil
			store(t, e.Name[len(callPrefix):], open)
		}
	}
}

// onHold starts or ends the hold of a conversation. One that was lost and put back later does not undo a
// newer one.
func (s *Stage) onHold(t *turn.Turn, h *handoffv1.Hold) error {
	conversation := placeOf(t.Record).Conversation
	if conversation == "" {
		return fmt.Errorf("a hold without a conversation")
	}
	name, known := holdPrefix+conversation, &statev1.GateHold{}
	if t.Get(name, known) && h.GetVersion() > 0 && known.GetVersion() >= h.GetVersion() {
		return nil
	}
	now := &statev1.GateHold{Episode: h.GetEpisode(), Version: h.GetVersion()}
	if h.GetHeld() {
		now.Classes = h.GetClasses()
	}
	t.Put(name, now)
	waitNoLonger(t, func(at turn.Place, text *handoffv1.SendText) bool {
		return at.Conversation == conversation && (slices.Contains(now.GetClasses(), text.GetTextClass()) || outlived(now, text))
	})
	return nil
}

// onTextGate adds or removes a dead letter that shuts every text.
func (s *Stage) onTextGate(t *turn.Turn, g *handoffv1.TextGate) error {
	if !g.GetShut() {
		t.Delete(shutPrefix + g.GetDeadLetter())
		// The caller hears of stored calls only: storing the waiting ones again makes it ask about them.
		turn.Scan(t, callPrefix, &statev1.OpenCall{}, func(name string, open *statev1.OpenCall) bool {
			if open.GetRecord().GetCommand().GetSendText() != nil {
				t.Call(pending(name[len(callPrefix):], open))
			}
			return true
		})
		return nil
	}
	t.Put(shutPrefix+g.GetDeadLetter(), &statev1.GateShut{Since: t.NowStamp()})
	return nil
}

// onAttemptStarted marks a blind call as started. Attempts only grow, so a late or repeated word
// changes nothing.
func (s *Stage) onAttemptStarted(t *turn.Turn, a *handoffv1.AttemptStarted) error {
	open := &statev1.OpenCall{}
	if !t.Get(callPrefix+a.GetCallId(), open) || a.GetAttempt() <= open.GetAttempt() {
		return nil // ended, or known
	}
	open.Attempt, open.Incarnation = a.GetAttempt(), a.GetIncarnation()
	t.Put(callPrefix+a.GetCallId(), open)
	t.Call(pending(a.GetCallId(), open))
	return nil
}

// answersStill tells that a text answers a keyword, and may leave although consent was shut since: not what answered a
// START or HELP before an opt-out (C2).
func answersStill(consent *statev1.GateConsent, text *handoffv1.SendText) bool {
	const out = handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED
	return text.GetTextClass() == handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER &&
		(consent.GetStatus() != out || text.GetConsent().GetStatus() == out)
}

// judgement of a text.
type judgement struct {
	verdict caller.Verdict
	reason  handoffv1.BlockReason
	meaning string
	version uint64
}

// judge decides whether a text may leave from a place now: a shut gate makes it wait, a hold (H4) and
// consent (C2, C7) refuse it, an opt-out since the text was decided also when it was lifted again.
func judge(e entries, p turn.Place, text *handoffv1.SendText) (judgement, error) {
	consent, err := coveringConsent(e, p)
	if err != nil {
		return judgement{}, err
	}
	class := text.GetTextClass()
	j := judgement{version: consent.GetVersion()}
	if stamp := text.GetConsent(); stamp != nil && stamp.GetVersion() < consent.GetShutVersion() && !answersStill(consent, text) {
		j.verdict, j.reason = caller.Refuse, handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT
		j.meaning = "the customer opted out before it was sent"
		if consent.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_PENDING {
			j.reason, j.meaning = whyNot(consent) // asked to confirm since, not opted out
		}
		return j, nil
	}
	// A post that everybody can read is answered as publicly, which takes no consent (W5); an opt-out counts there too.
	public := consent == nil && text.GetConsent().GetPublic()
	if !public && !allows(consent, class) {
		j.verdict = caller.Refuse
		j.reason, j.meaning = whyNot(consent)
		return j, nil
	}
	hold := &statev1.GateHold{}
	held, err := e.get(holdPrefix+p.Conversation, hold)
	if err != nil {
		return judgement{}, err
	}
	if held && !text.GetWhilePaused() && slices.Contains(hold.GetClasses(), class) {
		j.verdict, j.reason = caller.Refuse, handoffv1.BlockReason_BLOCK_REASON_PAUSED
		j.meaning = "people have the conversation: no automated text leaves"
		return j, nil
	}
	shut, err := e.any(shutPrefix)
	if err != nil {
		return judgement{}, err
	}
	if shut {
		j.verdict, j.reason = caller.Wait, handoffv1.BlockReason_BLOCK_REASON_GATE_SHUT
		j.meaning = "a message that may have been an opt-out could not be read; texts wait until it is replayed or dropped"
	}
	return j, nil
}

// whyNot names the reason for which consent refuses (C7).
func whyNot(c *statev1.GateConsent) (handoffv1.BlockReason, string) {
	switch {
	case c == nil || c.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSPECIFIED:
		return handoffv1.BlockReason_BLOCK_REASON_NO_RECORD, "there is no subscriber record for this address"
	case c.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED:
		return handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT, "the customer opted out on " + c.GetAt().AsTime().Format(time.DateOnly)
	default:
		return handoffv1.BlockReason_BLOCK_REASON_NEVER_CONFIRMED, "the customer never confirmed their subscription"
	}
}

// crossed tells whether a text was on the wire when an opt-out was committed: the gate read an older
// ledger than the one that now forbids it.
func crossed(e entries, open *statev1.OpenCall, o *handoffv1.Outcome) (bool, error) {
	text := open.GetRecord().GetCommand().GetSendText()
	if text == nil || !mayHaveArrived(o.GetStatus()) {
		return false, nil
	}
	consent, err := coveringConsent(e, placeOf(open.GetRecord()))
	if err != nil || consent == nil {
		return false, err
	}
	return consent.GetVersion() > o.GetConsentVersion() && !allows(consent, text.GetTextClass()), nil
}

func mayHaveArrived(s handoffv1.OutcomeStatus) bool {
	return s == handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE || s == handoffv1.OutcomeStatus_OUTCOME_STATUS_UNKNOWN
}

// failedOf says why a ticket does not exist, in one line.
func failedOf(o *handoffv1.Outcome) string {
	why := strings.TrimSpace(o.GetMeaning())
	if why == "" {
		why = "the desk did not take it"
	}
	return why
}
