package escalate

import (
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// sameWithin is the time in which identical messages in a row are counted (R4). A machine that answers
// each hourly reply of a rule must be caught; a person who says the same thing on other days must not.
const sameWithin = 24 * time.Hour

// stopped tells that automation is stopped for the conversation (R4).
func (c *conversation) stopped() bool { return c.state.GetAutomation().GetStoppedAt() != nil }

// watchLoop counts identical messages in a row and stops automation at the last one too many; a message
// with other words, late enough, starts it again (R4).
func (c *conversation) watchLoop(text string) {
	hash, auto := hashOf(text), c.auto()
	if hash == 0 { // only media: neither the same nor other words
		return
	}
	if hash != auto.GetLastText() {
		if c.stopped() && !within(auto.GetStoppedAt(), c.t.At(), c.shop.Automation.ResumeAfter) {
			c.resumeAutomation()
		}
		auto.LastText, auto.SameTexts, auto.SameSince = hash, 0, c.received()
	} else if !within(auto.GetSameSince(), c.t.At(), sameWithin) {
		auto.SameTexts, auto.SameSince = 0, c.received()
	}
	auto.SameTexts++
	if int(auto.GetSameTexts()) == c.shop.Automation.StopAfterSame {
		c.stopAutomation(fmt.Sprintf("the same message came %d times", auto.GetSameTexts()))
	}
}

// countAutomated counts an automated text that leaves, and stops automation after the last of too many in
// too short a time (R4).
func (c *conversation) countAutomated() {
	a, auto := c.shop.Automation, c.auto()
	since := c.t.Now.Add(-a.StopWithin).UnixMilli()
	for len(auto.Sent) > 0 && (auto.Sent[0] <= since || len(auto.Sent) >= a.StopAfterTexts) {
		auto.Sent = auto.Sent[1:]
	}
	auto.Sent = append(auto.Sent, c.t.Now.UnixMilli())
	if len(auto.Sent) >= a.StopAfterTexts {
		c.stopAutomation(fmt.Sprintf("%d automated texts within %s", len(auto.Sent), settings.Span(a.StopWithin)))
	}
}

// stopAutomation stops the bot and rules' replies for the conversation. A note says so: on the ticket, or
// on the next one where there is none.
func (c *conversation) stopAutomation(because string) {
	if c.stopped() {
		return
	}
	auto := c.auto()
	auto.StoppedAt, auto.StoppedBecause, auto.Sent = c.now(), because, nil
	c.dropTurn("automation stopped before the bot was asked about it (R4)")
	c.notAsked("automation stopped: " + because + " (R4)")
	if c.live() {
		c.note(c.stoppedNote())
		return
	}
	auto.NoteWaits = true
}

func (c *conversation) stoppedNote() string {
	return c.text(settings.TextStoppedNote, "reason", c.state.GetAutomation().GetStoppedBecause(), "span", settings.Span(c.shop.Automation.ResumeAfter))
}

// waitingNotes returns the note that waited for a ticket.
func (c *conversation) waitingNotes() []string {
	if !c.state.GetAutomation().GetNoteWaits() {
		return nil
	}
	c.auto().NoteWaits = false
	return []string{c.stoppedNote()}
}

// resumeAutomation starts automation again.
func (c *conversation) resumeAutomation() {
	if !c.stopped() {
		return
	}
	auto := c.auto()
	auto.StoppedAt, auto.StoppedBecause, auto.NoteWaits = nil, "", false
	auto.SameTexts, auto.LastText, auto.SameSince = 0, 0, nil
}

// automated tells which texts are written by no person: those of the bot and of rules.
func automated(class handoffv1.TextClass) bool {
	return class == handoffv1.TextClass_TEXT_CLASS_BOT || class == handoffv1.TextClass_TEXT_CLASS_RULE
}

// hashOf is a hash of a text's letters in one case, without spaces; 0 for a text without any.
func hashOf(text string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h, any := uint64(offset), false
	for _, r := range text {
		if unicode.IsSpace(r) {
			continue
		}
		any = true
		if r < utf8.RuneSelf {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			h = (h ^ uint64(r)) * prime
			continue
		}
		var letter [utf8.UTFMax]byte
		for _, b := range utf8.AppendRune(letter[:0], unicode.ToLower(r)) {
			h = (h ^ uint64(b)) * prime
		}
	}
	if !any {
		return 0
	}
	return max(h, 1)
}
