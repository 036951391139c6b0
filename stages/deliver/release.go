package deliver

import (
	"errors"
	"fmt"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// settingsAgain is when a shop's settings that have not been read yet are asked for again.
const settingsAgain = time.Second

// Release judges the head of a lane by committed state. The attempt is filled in whatever the
// verdict, so that an earlier attempt can be looked up. A call that ended meanwhile waits: its end
// is on the way to the caller.
func (s *Stage) Release(read pipeline.Reader, call pipeline.PendingCall, now time.Time) (caller.Release, error) {
	e, err := readCommitted(read, call)
	if err != nil {
		return caller.Release{}, fmt.Errorf("release call %s: %w", call.Call.ID, err)
	}
	open := &statev1.OpenCall{}
	ok, err := e.get(callPrefix+call.Call.ID, open)
	if err != nil {
		return caller.Release{}, fmt.Errorf("release call %s: %w", call.Call.ID, err)
	}
	if !ok {
		return caller.Release{Verdict: caller.Wait, Meaning: "the call has ended"}, nil
	}
	record := open.GetRecord()
	shop, _, err := read.Settings().Current(record.GetShop())
	if errors.Is(err, pipeline.ErrSettingsPending) {
		return caller.Release{Verdict: caller.Wait, Meaning: "the shop's settings are not read yet", Until: now.Add(settingsAgain)}, nil
	}
	if err != nil {
		return caller.Release{}, fmt.Errorf("release call %s: %w", call.Call.ID, err)
	}
	rel := caller.Release{Attempt: caller.Attempt{
		CallID: call.Call.ID, Created: open.GetCreated().AsTime(),
		Record: record, Command: record.GetCommand(), Shop: shop,
	}}
	text := record.GetCommand().GetSendText()
	rel.Text = text != nil
	if rel.Text {
		err = s.releaseText(e, open, text, now, &rel)
	} else {
		err = s.releaseDesk(e, open, &rel)
	}
	if err != nil {
		return caller.Release{}, fmt.Errorf("release call %s: %w", call.Call.ID, err)
	}
	inTime(open, now, &rel)
	return rel, nil
}

// inTime applies the call's times to a verdict that was reached without them: before its time a call
// waits whatever the gate says now, after it a call that may not start yet never will.
func inTime(open *statev1.OpenCall, now time.Time, rel *caller.Release) {
	over := open.GetGiveUpAt() != nil && !now.Before(open.GetGiveUpAt().AsTime())
	early := open.GetNotBefore() != nil && now.Before(open.GetNotBefore().AsTime())
	switch {
	case over && rel.Verdict != caller.Refuse:
		if rel.Reason == handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED {
			rel.Reason, rel.Meaning = handoffv1.BlockReason_BLOCK_REASON_EXPIRED, "its time ran out before it could be done"
		}
		rel.Verdict, rel.Expired = caller.Refuse, true
	case early && !over:
		rel.Verdict, rel.Until = caller.Wait, open.GetNotBefore().AsTime()
		rel.Reason, rel.Meaning = handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED, ""
	}
}

func (s *Stage) releaseText(e committedEntries, open *statev1.OpenCall, text *handoffv1.SendText, now time.Time, rel *caller.Release) error {
	j, err := judge(e, placeOf(open.GetRecord()), text)
	if err != nil {
		return err
	}
	if over, err := overtaken(e, placeOf(open.GetRecord()), text); err != nil {
		return err
	} else if over && j.verdict != caller.Refuse {
		j.verdict = caller.Refuse
		j.reason, j.meaning = whyOvertaken(text)
	}
	if why := s.inQuietHours(rel.Attempt.Shop, open, now); why != "" && j.verdict == caller.Start {
		j.verdict, j.reason, j.meaning = caller.Refuse, handoffv1.BlockReason_BLOCK_REASON_QUIET_HOURS, why
	}
	if r := open.GetRecord(); !rel.Attempt.Shop.Reaches(r.GetChannel(), r.GetAddress()) { // W9
		j.verdict, j.reason = caller.Refuse, handoffv1.BlockReason_BLOCK_REASON_COUNTRY
		j.meaning = "the shop does not text the country of this number"
	}
	rel.Verdict, rel.Reason, rel.Meaning, rel.ConsentVersion = j.verdict, j.reason, j.meaning, j.version
	rel.Attempt.OtherIDs, err = otherIDs(e, open)
	return err
}

// whyOvertaken names the reason for a text that was overtaken. An automated one answers what people have had since (H4).
func whyOvertaken(text *handoffv1.SendText) (handoffv1.BlockReason, string) {
	if class := text.GetTextClass(); class == handoffv1.TextClass_TEXT_CLASS_BOT || class == handoffv1.TextClass_TEXT_CLASS_RULE {
		return handoffv1.BlockReason_BLOCK_REASON_PAUSED, "people had the conversation before it could leave"
	}
	return handoffv1.BlockReason_BLOCK_REASON_OVERTAKEN, "what it says was over before it left"
}

// overtaken tells that a text which says that a call has not ended is about one that has (H11), or that one was made
// before it changed who has the conversation: it says or asks that (H2, H6, H12), or is automated (H4).
func overtaken(e entries, p turn.Place, text *handoffv1.SendText) (bool, error) {
	if text.GetWhileHold() > 0 {
		hold := &statev1.GateHold{}
		if _, err := e.get(holdPrefix+p.Conversation, hold); err != nil || outlived(hold, text) {
			return err == nil, err
		}
	}
	if text.GetWhileOpen() == "" {
		return false, nil
	}
	open, err := e.get(callPrefix+text.GetWhileOpen(), &statev1.OpenCall{})
	return !open, err
}

// outlived tells that who has the conversation has changed since a text was made that leaves only while it has not.
func outlived(hold *statev1.GateHold, text *handoffv1.SendText) bool {
	return text.GetWhileHold() > 0 && hold.GetVersion() >= text.GetWhileHold()
}

// otherIDs lists what the provider holds of this conversation's other calls that ended since this one
// was made, or shortly before: a look-up by time may meet them.
func otherIDs(e committedEntries, open *statev1.OpenCall) (ids []string, err error) {
	const clockSkew = time.Hour
	since := open.GetCreated().AsTime().Add(-clockSkew)
	conversation := placeOf(open.GetRecord()).Conversation
	names, values := e.from(sentPrefix)
	for i, name := range names {
		sent := &statev1.SentText{}
		if err := schemas.Unmarshal(values[i], sent); err != nil {
			return nil, fmt.Errorf("decode state %s: %w", name, err)
		}
		if sent.GetConversation() == conversation && !sent.GetEnded().AsTime().Before(since) {
			ids = append(ids, name[len(sentPrefix):])
		}
	}
	return ids, nil
}

// releaseDesk fills in the ticket of the command's episode. A ticket that will never exist refuses
// the call; so does one that nobody asked for, since no call ahead in the lane could make it.
func (s *Stage) releaseDesk(e committedEntries, open *statev1.OpenCall, rel *caller.Release) error {
	command := open.GetRecord().GetCommand()
	if fetch := command.GetFetchTicket(); fetch != nil {
		rel.Attempt.TicketID = fetch.GetTicketId()
		return nil
	}
	if !needsTicket(command) {
		return nil
	}
	ticket := &statev1.DeskTicket{}
	ok, err := e.get(ticketName(placeOf(open.GetRecord()).Conversation, ticketEpisode(command)), ticket)
	if err != nil {
		return err
	}
	switch {
	case ticket.GetTicketId() != "" && ticket.GetDesk() != open.GetDestination():
		rel.Verdict, rel.Meaning = caller.Refuse, "the ticket is at another help desk than the shop has now: "+ticket.GetDesk()
	case ticket.GetTicketId() != "":
		rel.Attempt.TicketID = ticket.GetTicketId()
	case ticket.GetFailed() != "":
		rel.Verdict, rel.Meaning = caller.Refuse, "the ticket could not be created: "+ticket.GetFailed()
	case ok:
		rel.Verdict, rel.Meaning = caller.Wait, "the ticket does not exist yet"
		create := &statev1.OpenCall{}
		if _, err := e.get(callPrefix+ticket.GetCreating(), create); err != nil {
			return err
		}
		if create.GetCreated().AsTime().After(open.GetCreated().AsTime()) {
			// A dead letter that was put back: behind this call in its lane, it would never be reached.
			rel.Verdict, rel.Meaning = caller.Refuse, "the command that creates the ticket was lost and put back behind this one"
		}
	default:
		rel.Verdict, rel.Meaning = caller.Refuse, "no ticket was created for this episode"
	}
	return nil
}

// needsTicket tells whether a command works on a ticket that an earlier command creates.
func needsTicket(c *handoffv1.Command) bool {
	switch c.GetAction().(type) {
	case *handoffv1.Command_AppendMessages, *handoffv1.Command_AddNote,
		*handoffv1.Command_SetTicketStatus, *handoffv1.Command_AddTags, *handoffv1.Command_RemoveTags,
		*handoffv1.Command_AssignTicket, *handoffv1.Command_SetPriority:
		return true
	}
	return false
}

// pending is the runner's part of an open call: everything but what is asked, which is in the entry.
func pending(id string, open *statev1.OpenCall) pipeline.Call {
	c := pipeline.Call{
		ID: id, Destination: open.GetDestination(), Lane: open.GetLane(),
		Created: open.GetCreated().AsTime(),
		Attempt: open.GetAttempt(), Incarnation: open.GetIncarnation(),
		TryFor: time.Duration(open.GetRecord().GetCommand().GetTryForMs()) * time.Millisecond,
		// Replies by people never wait for the pace of automated ones (H12).
		Passes: open.GetRecord().GetCommand().GetSendText().GetTextClass() == handoffv1.TextClass_TEXT_CLASS_AGENT,
	}
	if open.GetNotBefore() != nil {
		c.NotBefore = open.GetNotBefore().AsTime()
	}
	if open.GetGiveUpAt() != nil {
		c.GiveUpAt = open.GetGiveUpAt().AsTime()
	}
	return c
}
