// Package explain tells the story of a conversation in plain sentences, from the records themselves: who
// wrote, how it was read, what consent said, why it was offered, handed over, blocked, sent or dropped,
// and by which version of the shop's settings (X3). It decides nothing and asks nobody; what it is not
// given it does not tell.
package explain

import (
	"cmp"
	"slices"
	"time"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Entry is one record of the log about a person at a shop.
type Entry struct {
	// Topic, Partition and Offset are where it stands.
	Topic     string
	Partition int32
	Offset    int64
	// Time is its Kafka timestamp.
	Time time.Time
	// Record decoded.
	Record *handoffv1.Record
}

// Letter is a record or timer that a stage could not process.
type Letter struct {
	// Stage that could not process it, and why.
	Stage, Why string
	// Place of the dead letter, as `handoff dlq` names it.
	Place string
	At    time.Time
	// Conversation of the record; empty where that is not known.
	Conversation string
	// Resolved is what became of it ("replayed", "dropped"), by whom, why and when; empty: nobody decided.
	Resolved, By, Reason string
	ResolvedAt           time.Time
}

// Line is one sentence of the story, or a few that belong together.
type Line struct {
	// At is when it was decided: the clock of the stage's partition.
	At time.Time `json:"at"`
	// Conversation it is about; empty for the address as a whole.
	Conversation string `json:"conversation,omitempty"`
	// Stage that decided.
	Stage string `json:"stage"`
	// Settings is the version of the shop's settings that it was decided by; 0 where none was.
	Settings uint64 `json:"settings,omitempty"`
	// Kind of it: message, text, episode, consent, delivery, bot, rule, note, hold, agent, lost or unread.
	Kind string `json:"kind"`
	// Text is the sentence.
	Text string `json:"text"`
	// Reason is the rule, keyword, score or setting behind it, as the record has it.
	Reason string `json:"reason,omitempty"`
	// Ticket's link; empty where there is none.
	Link string `json:"link,omitempty"`
	// Place of the record that says so: topic/partition/offset.
	Place string `json:"place"`

	order order
}

// Topics are those whose records tell something, in the order of a message's way.
func Topics() []string {
	return []string{schemas.TopicConsent, schemas.TopicEscalate, schemas.TopicDeliver, schemas.TopicAnalytics}
}

// Tell tells what happened, in order. A record that is there twice, because it was replayed, is told once.
func Tell(entries []Entry, letters []Letter) []Line {
	s := &story{texts: map[string]string{}, tickets: map[string]string{}, asked: map[string]time.Time{}, turns: map[string]uint64{}, told: map[string]bool{}, holds: map[string]uint64{}, from: origins(entries)}
	for _, e := range entries {
		s.learn(e)
	}
	for i, e := range entries {
		s.now = i
		if id := schemas.HexID(e.Record.GetId()); !s.told[e.Topic+id] {
			s.told[e.Topic+id] = true
			s.tell(e)
		}
	}
	for _, l := range letters {
		s.letter(l)
	}
	slices.SortStableFunc(s.lines, func(a, b Line) int { return cmp.Or(a.At.Compare(b.At), a.order.compare(b.order)) })
	return s.lines
}

// story is what is being told.
type story struct {
	lines   []Line
	texts   map[string]string    // of calls that send one, by call id
	tickets map[string]string    // links, by the desk's ticket id
	asked   map[string]time.Time // when a call was asked for, by call id
	turns   map[string]uint64    // of the bot, by call id
	told    map[string]bool
	holds   map[string]uint64 // the newest of a conversation, by its version
	from    []order           // of each entry
	now     int               // index of the entry that is told
}

// learn keeps what other records are told with.
func (s *story) learn(e Entry) {
	r := e.Record
	if r.GetCommand() != nil {
		s.asked[schemas.HexID(r.GetId())] = e.Time
		if turn := r.GetCommand().GetAskBot().GetTurn(); turn > 0 {
			s.turns[schemas.HexID(r.GetId())] = turn
		}
	}
	if m := r.GetFact().GetMessage(); m != nil && !m.GetInbound() {
		s.texts[m.GetMessageId()] = m.GetText()
	}
	for _, o := range []*handoffv1.Outcome{r.GetCallResult().GetOutcome(), r.GetReceipt().GetOutcome()} {
		if o.GetTicketUrl() != "" {
			s.tickets[o.GetTicketId()] = o.GetTicketUrl()
		}
	}
}

func (s *story) add(e Entry, l Line) {
	l.Conversation, l.Settings, l.Place = e.Record.GetConversation(), e.Record.GetSettingsVersion(), place(e)
	if l.At.IsZero() {
		l.At = e.Time
	}
	l.At = l.At.UTC()
	s.placed(&l)
	s.lines = append(s.lines, l)
}

// ended is the rank of what became of a call: like what comes from outside it is before anything that is decided of it,
// unless it was asked for in the same moment.
func (s *story) ended(d *handoffv1.DeliveryFact, at time.Time) int {
	if asked, ok := s.asked[d.GetCallId()]; ok && asked.Before(at) {
		return first
	}
	return 0
}
