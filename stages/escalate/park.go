package escalate

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Parking is how an agent's reply that may not leave yet is kept, in one place and whatever the reason:
//
//   - A channel's window is over and the shop parks (handoff.outside_window, W3): decided here. The reply
//     leaves when the subscriber writes; the account's nudge asks them to, once.
//   - Another time is better (quiet hours, C11): decided by consent, which sets AgentReply.parking with
//     reason, until and why on a reply that it passes. The reply leaves at until, when the subscriber
//     writes, or when an agent replies #sendnow.
//
// What is parked leaves in the order of writing, through the same checks as any text; an opt-out drops
// it. A note on the ticket tells each step.

// parkedFor is how long a reply waits for the subscriber before it is dropped.
const parkedFor = 30 * 24 * time.Hour

// outsidePark is the value of handoff.outside_window that parks.
const outsidePark = "park"

// tagSendNow is what an agent writes to have parked replies sent now.
const tagSendNow = "#sendnow"

func parkedPrefix(conversation string) string { return "parked/" + conversation + "/" }

// parkOrBlock judges a reply: whether it is kept, because it may not leave yet, or was dropped with a note, because it
// may not leave at all.
func (c *conversation) parkOrBlock(p *statev1.Parked) (parks, blocked bool) {
	r, o := p.GetReply(), agentText(p)
	waits := c.shop.Handoff.OutsideWindow == outsidePark && c.fitsWindow(o)
	if r.GetParking() != nil && (waits || !c.outsideWindow(o)) {
		return true, false
	}
	c.releaseParked(false, "another reply follows") // what was written before leaves before, if it may
	why := c.mayLeave(o)
	switch {
	case why == handoffv1.BlockReason_BLOCK_REASON_UNSPECIFIED:
		return false, false
	case why != handoffv1.BlockReason_BLOCK_REASON_WINDOW || !waits:
		c.blockOn(p.GetOnTicket(), o, why)
		return false, true
	}
	r.Parking = c.windowParking()
	return true, false
}

// parkReply keeps a reply, with a note that says until when, and asks the subscriber to write where that helps.
func (c *conversation) parkReply(p *statev1.Parked) {
	parking := p.GetReply().GetParking()
	if parking.GetReason() == handoffv1.ParkReason_PARK_REASON_WINDOW {
		c.park(p, c.windowNote(handoffv1.TextClass_TEXT_CLASS_AGENT)+sentOnAnswer+c.nudge())
		return
	}
	if c.outsideWindow(agentText(p)) { // no hour helps: the subscriber is asked to write when it is day
		c.park(p, c.windowNote(handoffv1.TextClass_TEXT_CLASS_AGENT)+sentOnAnswer+c.nudgeAt(parking.GetUntil().AsTime()))
		return
	}
	c.park(p, parkedUntil(c.shop, parking))
}

// parkedUntil is the note on a reply that waits for its time.
func parkedUntil(shop *settings.Shop, p *handoffv1.Parking) string {
	return fmt.Sprintf("Parked until %s: %s. Reply %s to send it now.", shop.Moment(p.GetUntil().AsTime()), p.GetWhy(), tagSendNow)
}

const sentOnAnswer = " It is parked and sent when they answer."

// windowParking waits for the subscriber.
func (c *conversation) windowParking() *handoffv1.Parking {
	return &handoffv1.Parking{
		Reason: handoffv1.ParkReason_PARK_REASON_WINDOW, Until: timestamppb.New(c.t.Now.Add(parkedFor)),
	}
}

// park keeps a reply and says so on its ticket.
func (c *conversation) park(p *statev1.Parked, note string) {
	c.state.Parked++
	c.t.Put(parkedPrefix(c.at.Conversation)+inOrder(c.state.GetParked()), p)
	c.noteParked(p, note)
	c.armParked()
}

// nudge sends the account's template, once until the subscriber writes, and says so.
func (c *conversation) nudge() string {
	account := c.shop.Account(c.at.Channel, c.at.Account)
	if account == nil || account.Nudge.Template == "" || c.state.GetNudged() {
		return ""
	}
	n := account.Nudge
	if c.sendText(outbound{
		class: handoffv1.TextClass_TEXT_CLASS_SYSTEM, text: n.Text,
		template: &handoffv1.Template{Name: n.Template, Language: n.Language},
		because:  "a reply is parked until the customer writes",
	}) == "" {
		return ""
	}
	c.state.Nudged = true
	return fmt.Sprintf(" The template %q asks them to.", n.Template)
}

// kept is a parked reply with the name of its entry.
type kept struct {
	name string
	*statev1.Parked
}

// nudgeAt tells when the account's template will be sent, where there is one.
func (c *conversation) nudgeAt(at time.Time) string {
	account := c.shop.Account(c.at.Channel, c.at.Account)
	if account == nil || account.Nudge.Template == "" || c.state.GetNudged() {
		return ""
	}
	return fmt.Sprintf(" The template %q asks them to on %s, when their quiet hours are over.", account.Nudge.Template, c.shop.Moment(at))
}

// parked lists what waits, in the order of writing.
func (c *conversation) parked() (all []kept) {
	if c.state.GetParked() == 0 {
		return nil // never any
	}
	turn.Scan(c.t, parkedPrefix(c.at.Conversation), &statev1.Parked{}, func(name string, p *statev1.Parked) bool {
		all = append(all, kept{name, p})
		return true
	})
	return all
}

// releaseParked sends what waits, in order, up to the first that may not leave now: one that waits for
// its time where all is not set, one outside the channel's window. because is why now, for the ticket.
func (c *conversation) releaseParked(all bool, because string) {
	if c.state.GetParked() == 0 {
		return // never any, and no timer
	}
	for _, p := range c.parked() {
		if !all && !c.isDue(p) && isQuiet(p) || c.outsideWindow(agentText(p.Parked)) {
			break // those behind it wait for it
		}
		c.t.Delete(p.name)
		c.sendReply(p.Parked)
		c.reachedLate(p.Parked)
		c.noteParked(p.Parked, fmt.Sprintf("The reply that was parked on %s is sent: %s.", c.shop.Moment(p.GetAt().AsTime()), because))
	}
	c.armParked()
}

// reachedLate gives people a conversation again whose time was over before their reply could leave: it is now that the
// subscriber has it, and may answer it (H7).
func (c *conversation) reachedLate(p *statev1.Parked) {
	if c.episode.GetState() == expired && p.GetOnTicket() != 0 && p.GetOnTicket() == c.ticket.GetEpisode() {
		c.afterReply()
	}
}

func isQuiet(p kept) bool {
	return p.GetReply().GetParking().GetReason() == handoffv1.ParkReason_PARK_REASON_QUIET_HOURS
}

// isDue tells that a parked reply's time has come.
func (c *conversation) isDue(p kept) bool {
	return !c.t.Now.Before(p.GetReply().GetParking().GetUntil().AsTime())
}

func agentText(p *statev1.Parked) outbound {
	return outbound{class: handoffv1.TextClass_TEXT_CLASS_AGENT, text: p.GetReply().GetText(), episode: p.GetEpisode()}
}

// sendNow sends what is parked because an agent asks for it, by a reply that holds nothing else (bare) or
// one that is to leave now as well. A channel's window cannot be overridden.
func (c *conversation) sendNow(ticket uint64, bare bool) {
	if len(c.parked()) == 0 {
		if bare && ticket != 0 {
			c.noteOn(ticket, "Nothing is parked for this customer.")
		}
		return
	}
	c.releaseParked(true, "an agent asked for it")
	if left := c.parked(); len(left) > 0 {
		c.noteParked(left[0].Parked, c.windowNote(handoffv1.TextClass_TEXT_CLASS_AGENT))
	}
}

// onParkedDue sends what was parked until now, and drops what the subscriber did not ask for in time.
func (c *conversation) onParkedDue() {
	for _, p := range c.parked() {
		switch {
		case !c.isDue(p) || isQuiet(p) && !c.outsideWindow(agentText(p.Parked)):
		case isQuiet(p) && c.shop.Handoff.OutsideWindow == outsidePark: // the window closed meanwhile
			p.Reply.Parking = c.windowParking()
			c.t.Put(p.name, p.Parked)
			c.noteParked(p.Parked, c.windowNote(handoffv1.TextClass_TEXT_CLASS_AGENT)+sentOnAnswer+c.nudge())
		default:
			c.drop(p, handoffv1.BlockReason_BLOCK_REASON_WINDOW)
		}
	}
	c.releaseParked(false, "its time has come")
}

// dropParked drops all that waits, with a note each.
func (c *conversation) dropParked(why handoffv1.BlockReason) {
	for _, p := range c.parked() {
		c.drop(p, why)
	}
	if c.state.GetParked() > 0 {
		c.armParked()
	}
}

func (c *conversation) drop(p kept, why handoffv1.BlockReason) {
	c.t.Delete(p.name)
	ticket := p.GetOnTicket()
	if ticket == 0 {
		ticket = c.ticket.GetEpisode()
	}
	c.blockOn(ticket, agentText(p.Parked), why)
}

// armParked sets the timer to the first that is due.
func (c *conversation) armParked() {
	var first time.Time
	for _, p := range c.parked() {
		if at := p.GetReply().GetParking().GetUntil().AsTime(); first.IsZero() || at.Before(first) {
			first = at
		}
	}
	if first.IsZero() {
		c.stopTimer(timerPark)
		return
	}
	c.setTimer(timerPark, first)
}

// noteParked writes a note on the ticket that a parked reply stands on.
func (c *conversation) noteParked(p *statev1.Parked, text string) {
	if p.GetOnTicket() != 0 {
		c.noteOn(p.GetOnTicket(), text)
	}
}

// cutSendNow takes the tag out of a reply, where it stands as a word of its own, in any case.
func cutSendNow(text string) (rest string, found bool) {
	for i := 0; i < len(text); {
		at := strings.IndexByte(text[i:], '#')
		if at < 0 {
			return text, false
		}
		at += i
		end := at + len(tagSendNow)
		if end <= len(text) && strings.EqualFold(text[at:end], tagSendNow) && alone(text, at, end) {
			return strings.TrimSpace(strings.TrimRight(text[:at], " ") + strings.TrimLeft(text[end:], ".,;:!?")), true
		}
		i = at + 1
	}
	return text, false
}

// alone tells that nothing stands before text[from:to] but white space, and behind it no letter or digit.
func alone(text string, from, to int) bool {
	before := from == 0 || strings.ContainsRune(" \t\n\r", rune(text[from-1]))
	after := to == len(text) || strings.ContainsRune(" \t\n\r.,;:!?", rune(text[to]))
	return before && after
}
