package escalate

import (
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// thread is the end of a conversation: its last messages, each an entry of its own, so that no value
// grows. It is read on first use, and each message when it is looked at: most turns only add one.
type thread struct {
	c       *conversation
	read    bool
	entries []entry
	room    [lastMessages + 2]entry // of entries: with what most turns add at most
}

type entry struct {
	seq     uint64
	name    string        // "" for one that was added in this turn
	value   []byte        // as it was read
	message *statev1.Kept // nil until it is looked at
	changed bool
}

// added tells that the entry is of this turn.
func (e *entry) added() bool { return e.name == "" }

// nameOf is the name of an entry, in the order of the messages.
func (th *thread) nameOf(e *entry) string {
	if !e.added() {
		return e.name
	}
	var room [16]byte
	return th.c.t.Join(threads, th.c.at.Conversation, "/", string(appendInOrder(room[:0], e.seq)))
}

// kept is the message of an entry.
func (th *thread) kept(e *entry) *statev1.Kept {
	if e.message == nil {
		e.message = turn.Zero[statev1.Kept](th.c.t)
		th.c.t.Decode(e.name, e.value, e.message)
	}
	return e.message
}

// load reads which entries there are.
func (th *thread) load() {
	if th.read {
		return
	}
	th.read = true
	seq := th.c.state.GetMessages()
	th.entries = th.room[:0]
	for _, e := range th.c.t.Stored(th.c.t.Join(threads, th.c.at.Conversation, "/")) {
		th.entries = append(th.entries, entry{name: e.Name, value: e.Value})
	}
	for i := len(th.entries) - 1; i >= 0; i-- { // entries have no gaps: the last is the newest message
		th.entries[i].seq = seq
		seq--
	}
}

// add appends a message to the thread; onTicket is the ticket (by its episode) it is on already, 0 for
// none.
func (th *thread) add(m *handoffv1.ThreadMessage, onTicket uint64) {
	th.load()
	th.c.state.Messages++
	th.entries = append(th.entries, entry{
		seq: th.c.state.GetMessages(), message: turn.New(th.c.t, statev1.Kept{Message: m, OnTicket: onTicket}), changed: true,
	})
}

// hidden tells that a message is not to be shown: it did not leave, or is the offer that is not known to have.
func (th *thread) hidden(k *statev1.Kept) bool {
	e := th.c.episode
	return k.GetNotSent() || e.GetQuestionWaits() && k.GetMessage().GetId() == e.GetQuestionId()
}

// last returns the last ten messages, oldest first.
func (th *thread) last() []*handoffv1.ThreadMessage {
	th.load()
	var messages []*handoffv1.ThreadMessage
	for i := max(0, len(th.entries)-lastMessages); i < len(th.entries); i++ {
		if k := th.kept(&th.entries[i]); !th.hidden(k) {
			messages = append(messages, k.GetMessage())
		}
	}
	return messages
}

// notSent notes that a text did not leave: it is none of the conversation's messages, wherever those are shown from now
// on. It returns the text and whether a ticket shows it already, as if it had been sent.
func (th *thread) notSent(id string) (text string, shown bool) {
	e := th.entry(id)
	if e == nil {
		return "", false
	}
	k := th.kept(e)
	k.NotSent, e.changed = true, true
	return k.GetMessage().GetText(), k.GetOnTicket() != 0
}

// forBot returns the last ten messages and besides them those after seq, the customer's after seq at the
// end: those are to answer, also when an answer to earlier ones was sent after they came.
func (th *thread) forBot(after uint64) []*handoffv1.ThreadMessage {
	th.load()
	var before, ask []*handoffv1.ThreadMessage
	for i := range th.entries {
		e := &th.entries[i]
		m := th.kept(e).GetMessage()
		switch {
		case th.kept(e).GetNotSent():
		case e.seq > after && m.GetAuthor() == handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER:
			ask = append(ask, m)
		case i >= len(th.entries)-lastMessages || e.seq > after:
			before = append(before, m)
		}
	}
	return append(before, ask...)
}

// lastTextBy tells that the newest text to the customer was somebody's; what the customer wrote since does not count.
func (th *thread) lastTextBy(author handoffv1.AuthorKind) bool {
	th.load()
	for i := len(th.entries) - 1; i >= 0; i-- {
		k := th.kept(&th.entries[i])
		if by := k.GetMessage().GetAuthor(); by != handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER && !th.hidden(k) {
			return by == author
		}
	}
	return false
}

// grew tells that this turn added a message.
func (th *thread) grew() bool {
	n := len(th.entries)
	return n > 0 && th.entries[n-1].added()
}

// toTicket returns the messages that are not on the ticket yet, oldest first, and notes that they are
// from now on: those of this turn, with all set also what lacks of the last ten.
func (th *thread) toTicket(ticket uint64, all bool) []*handoffv1.ThreadMessage {
	if all {
		th.load()
	}
	var messages []*handoffv1.ThreadMessage
	for i := range th.entries {
		e := &th.entries[i]
		if !e.added() && (!all || i < len(th.entries)-lastMessages) {
			continue
		}
		if k := th.kept(e); k.GetOnTicket() == 0 && !th.hidden(k) {
			k.OnTicket, e.changed = ticket, true
			messages = append(messages, k.GetMessage())
		}
	}
	return messages
}

// waiting returns the ids of the customer's messages after seq that are on no ticket.
func (th *thread) waiting(seq uint64) (ids []string) {
	th.load()
	for i := range th.entries {
		e := &th.entries[i]
		if e.seq <= seq {
			continue
		}
		if k := th.kept(e); k.GetOnTicket() == 0 && k.GetMessage().GetAuthor() == handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER {
			ids = append(ids, k.GetMessage().GetId())
		}
	}
	return ids
}

// onTicket notes that the last ten messages are on a ticket that is created with them.
func (th *thread) onTicket(ticket uint64) {
	th.load()
	for i := max(0, len(th.entries)-lastMessages); i < len(th.entries); i++ {
		if e := &th.entries[i]; !th.hidden(th.kept(e)) {
			th.kept(e).OnTicket, e.changed = ticket, true
		}
	}
}

// find returns the kept message of that id; empty when it is not kept.
func (th *thread) find(id string) *handoffv1.ThreadMessage {
	if e := th.entry(id); e != nil {
		return th.kept(e).GetMessage()
	}
	return nil
}

// entry returns the entry of the message of that id; nil when it is not kept. It is valid until one is added.
func (th *thread) entry(id string) *entry {
	th.load()
	for i := range th.entries {
		if e := &th.entries[i]; th.kept(e).GetMessage().GetId() == id {
			return e
		}
	}
	return nil
}

// ticketOf returns the ticket that a kept message is on, 0 for none.
func (th *thread) ticketOf(id string) uint64 {
	if e := th.entry(id); e != nil {
		return th.kept(e).GetOnTicket()
	}
	return 0
}

// sentAgain gives a message the id of the call that it leaves by now. It tells whether the thread still has
// the message.
func (th *thread) sentAgain(id, callID string) bool {
	e := th.entry(id)
	if e != nil {
		th.kept(e).Message.Id, e.changed = callID, true
	}
	return e != nil
}

// save writes changed entries and forgets those beyond the last ten, but for those that still wait for
// the bot.
func (th *thread) save() {
	waiting := th.c.state.GetMessages()
	if t := th.c.state.GetTurn(); t != nil {
		waiting = t.GetThrough()
	}
	for i := range th.entries {
		e := &th.entries[i]
		switch {
		case i < len(th.entries)-lastMessages && e.seq <= waiting:
			th.c.t.Delete(th.nameOf(e))
		case e.changed:
			th.c.t.Put(th.nameOf(e), th.kept(e))
		}
	}
}

// forget removes every message of the thread. Numbers go on, so that nothing is taken for another.
func (th *thread) forget() {
	th.load()
	for i := range th.entries {
		th.c.t.Delete(th.nameOf(&th.entries[i]))
	}
	th.entries = nil
}

// customerMessage is an inbound message as the thread keeps it.
func (c *conversation) customerMessage(m *handoffv1.CustomerMessage) *handoffv1.ThreadMessage {
	return turn.New(c.t, handoffv1.ThreadMessage{
		Id: c.t.HexID(), Author: handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER, Name: c.state.GetName(),
		At: c.t.AtStamp(), Text: m.GetText(), Media: m.GetMedia(),
	})
}
