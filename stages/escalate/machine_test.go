package escalate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func TestTransitionsAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	reached := map[State]bool{none: true}
	for _, tr := range Transitions() {
		id := fmt.Sprint(tr.From, tr.On)
		if seen[id] {
			t.Errorf("%v on %v stands twice", tr.From, tr.On)
		}
		seen[id] = true
		reached[tr.To] = true
		if tr.Rule == "" || tr.On.String() == "" || tr.From == tr.To {
			t.Errorf("%+v is not whole", tr)
		}
	}
	for number, name := range handoffv1.EpisodeState_name {
		if !reached[State(number)] {
			t.Errorf("%s is never reached", name)
		}
	}
	if Event(99).String() != "" {
		t.Error("an unknown event has a name")
	}
}

// deskModel is a help desk beside the stage: it executes its commands in order, one lane.
type deskModel struct {
	status map[uint64]handoffv1.TicketStatus
	lane   []sent
}

// TestEpisodeMachine lets customers, agents, the bot, the desk, consent and the clock do anything in any
// order, and checks after each step what must always hold.
func TestEpisodeMachine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		change := []func(*settings.Shop){func(s *settings.Shop) {
			s.Handoff.CloseOnThanks = rapid.Bool().Draw(rt, "close on thanks")
			s.Handoff.SkipOfferWhenAsked = rapid.Bool().Draw(rt, "skip offer")
			s.Handoff.SayResumed = rapid.Bool().Draw(rt, "say resumed")
			s.AutoReply.InMirrorMode = rapid.Bool().Draw(rt, "bot in mirror mode")
			if rapid.Bool().Draw(rt, "mirror") {
				s.Mode = settings.ModeMirror
			}
			if rapid.Bool().Draw(rt, "grace") {
				s.Handoff.AnswerGrace = time.Hour
			}
			if rapid.Bool().Draw(rt, "leave open") {
				s.Handoff.OnStop = "leave_open"
			}
		}}
		m := &model{world: newWorld(t, change...), desk: deskModel{status: map[uint64]handoffv1.TicketStatus{}}}
		rt.Repeat(map[string]func(*rapid.T){
			"customer writes":   m.customerWrites,
			"answers the offer": m.answersOffer,
			"agent replies":     m.agentReplies,
			"bot answers":       m.botAnswers,
			"desk works":        m.deskWorks,
			"status at desk":    m.statusAtDesk,
			"stop":              func(*rapid.T) { m.step(func() { m.stop() }) },
			"start":             func(*rapid.T) { m.step(func() { m.start() }) },
			"time passes": func(rt *rapid.T) {
				d := rapid.SampledFrom([]time.Duration{time.Second, 15 * time.Second, 2 * time.Minute, 5 * time.Hour, 25 * time.Hour}).Draw(rt, "for")
				m.step(func() { m.wait(d) })
			},
			"": m.check,
		})
	})
}

type model struct {
	*world
	desk  deskModel
	facts int
	all   map[uint64]State
	fail  []string
}

// step lets something happen and looks at everything the stage emitted for it.
func (m *model) step(fn func()) {
	from := len(m.commands)
	fn()
	m.lookAtFacts()
	for _, s := range m.commands[from:] {
		m.desk.lane = append(m.desk.lane, s)
		if c := s.GetCreateTicket(); c != nil {
			for number, status := range m.desk.status {
				if number != s.GetTicketEpisode() && !isClosed(status) {
					m.fail = append(m.fail, fmt.Sprintf("ticket %d created while %d is open", s.GetTicketEpisode(), number))
				}
			}
			if _, ok := m.desk.status[s.GetTicketEpisode()]; ok {
				m.fail = append(m.fail, fmt.Sprintf("ticket %d created twice", s.GetTicketEpisode()))
			}
			m.desk.status[s.GetTicketEpisode()] = reopen
		}
		if a := s.GetAppendMessages(); a != nil && a.GetStatus() == reopen {
			m.desk.status[s.GetTicketEpisode()] = reopen
		}
		if set := s.GetSetTicketStatus(); set != nil {
			m.desk.status[s.GetTicketEpisode()] = set.GetStatus()
		}
	}
}

// lookAtFacts follows the episodes by their facts alone.
func (m *model) lookAtFacts() {
	facts := m.episodeFacts()
	if m.all == nil {
		m.all = map[uint64]State{}
	}
	for _, f := range facts[m.facts:] {
		known := slices.ContainsFunc(slices.Collect(func(yield func(Transition) bool) {
			for _, tr := range Transitions() {
				if !yield(tr) {
					return
				}
			}
		}), func(tr Transition) bool { return tr.From == f.GetFrom() && tr.To == f.GetTo() })
		if !known {
			m.fail = append(m.fail, fmt.Sprintf("%v -> %v is not in the table", f.GetFrom(), f.GetTo()))
		}
		if m.all[f.GetEpisode()] != f.GetFrom() {
			m.fail = append(m.fail, fmt.Sprintf("episode %d was %v, the fact says from %v", f.GetEpisode(), m.all[f.GetEpisode()], f.GetFrom()))
		}
		m.all[f.GetEpisode()] = f.GetTo()
	}
	m.facts = len(facts)
}

// living counts episodes that are offered, requested or open.
func (m *model) living() (n int, paused bool) {
	for _, s := range m.all {
		switch s {
		case offered:
			n++
		case requested, open:
			n++
			paused = true
		}
	}
	return n, paused
}

func (m *model) check(rt *rapid.T) {
	for _, f := range m.fail {
		rt.Error(f)
	}
	n, paused := m.living()
	if n > 1 {
		rt.Errorf("%d episodes live at once: %v", n, m.all)
	}
	if held := paused || m.ticket().GetTaken(); m.conv().GetHeld() != held {
		rt.Errorf("held is %v, episodes %v, ticket %v", m.conv().GetHeld(), m.all, m.ticket())
	}
	if m.conv().GetTurn() != nil {
		if _, ok := m.timers["bot/"+m.at]; !ok {
			rt.Error("a turn without a deadline")
		}
	}
	for state, timer := range map[State]string{offered: "lapse/", open: "pause/"} {
		if _, ok := m.timers[timer+m.at]; ok != (m.episode().GetState() == state) && !m.ticket().GetTaken() {
			rt.Errorf("%v: timer %s set: %v", m.episode().GetState(), timer, ok)
		}
	}
}

// customerWrites checks that the message is answered for: by the bot, a ticket, an offer, or a reason.
func (m *model) customerWrites(rt *rapid.T) {
	kind := rapid.SampledFrom([]string{"question", "cancel", "unsure", "angry", "human", "thanks", "yes"}).Draw(rt, "kind")
	read := map[string]reading{
		"question": intent("order_status"), "cancel": intent("cancel_order"), "unsure": unsure, "angry": angry, "human": human,
		"thanks": thanks, "yes": func(c *handoffv1.Classification) { c.Directive = handoffv1.Directive_DIRECTIVE_YES },
	}[kind]
	commands, facts := len(m.commands), len(m.world.facts)
	m.step(func() { m.customer(kind, read) })
	if m.answeredFor(commands, facts) {
		return
	}
	rt.Errorf("a message (%s) that nobody answers for; state %v", kind, m.episode())
}

func (m *model) answeredFor(commands, facts int) bool {
	for _, s := range m.commands[commands:] {
		for _, messages := range [][]*handoffv1.ThreadMessage{
			s.GetAskBot().GetMessages(), s.GetCreateTicket().GetMessages(), s.GetAppendMessages().GetMessages(),
		} {
			if slices.ContainsFunc(messages, func(tm *handoffv1.ThreadMessage) bool {
				return tm.GetAuthor() == handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER && tm.GetAt().AsTime().Equal(m.now)
			}) {
				return true
			}
		}
	}
	return len(m.world.facts) > facts || m.conv().GetTurn().GetWaiting() != nil
}

func (m *model) answersOffer(rt *rapid.T) {
	answer := rapid.SampledFrom([]reading{yes, no}).Draw(rt, "answer")
	m.step(func() { m.customer("answer", answer) })
}

func (m *model) agentReplies(rt *rapid.T) {
	number := uint64(rapid.IntRange(1, 3).Draw(rt, "ticket"))
	if _, ok := m.desk.status[number]; !ok {
		return
	}
	before := len(m.commands)
	m.step(func() { m.agent(number, "reply") })
	if len(m.commands) == before {
		rt.Error("an agent's reply was not sent")
	}
}

// botAnswers answers the newest turn, or an older one again.
func (m *model) botAnswers(rt *rapid.T) {
	turns := m.conv().GetTurns()
	if turns == 0 {
		return
	}
	turn := turns - uint64(rapid.IntRange(0, 1).Draw(rt, "older"))
	reply := &handoffv1.BotReply{Text: "answer"}
	if rapid.Bool().Draw(rt, "cannot") {
		reply = &handoffv1.BotReply{CannotAnswer: true, Reason: "no"}
	}
	_, paused := m.living()
	paused = paused || m.ticket().GetTaken()
	before := len(m.commands)
	m.step(func() { m.botTurn(turn, reply) })
	for _, s := range m.commands[before:] {
		if s.GetSendText().GetTextClass() == handoffv1.TextClass_TEXT_CLASS_BOT && paused {
			rt.Error("the bot spoke while people have the conversation")
		}
	}
}

// deskWorks ends the next command of the lane.
func (m *model) deskWorks(rt *rapid.T) {
	for len(m.desk.lane) > 0 {
		next := m.desk.lane[0]
		m.desk.lane = m.desk.lane[1:]
		switch actionOf(next.Command) {
		case handoffv1.Action_ACTION_SEND_TEXT, handoffv1.Action_ACTION_ASK_BOT:
			continue
		}
		out := &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_DONE, TicketId: fmt.Sprint("t", next.GetTicketEpisode())}
		if next.GetCreateTicket() != nil && rapid.IntRange(0, 5).Draw(rt, "refused") == 0 && m.ticket().GetTicketId() == "" {
			out = &handoffv1.Outcome{Status: handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED, Code: "422"}
			m.desk.status[next.GetTicketEpisode()] = handoffv1.TicketStatus_TICKET_STATUS_DELETED
		}
		m.step(func() { m.receipt(next, out) })
		return
	}
}

func (m *model) statusAtDesk(rt *rapid.T) {
	number := uint64(rapid.IntRange(1, 3).Draw(rt, "ticket"))
	if status, ok := m.desk.status[number]; !ok || status == closing || status == handoffv1.TicketStatus_TICKET_STATUS_DELETED || number != m.ticket().GetEpisode() {
		return
	}
	status := rapid.SampledFrom([]handoffv1.TicketStatus{solved, closing, reopen, handoffv1.TicketStatus_TICKET_STATUS_PENDING}).Draw(rt, "status")
	if m.episode().GetState() == requested && m.episode().GetReusesTicket() {
		return // its reopening stands in the lane
	}
	m.desk.status[number] = status
	m.step(func() { m.desk1(number, status) })
}

func (m *model) desk1(number uint64, status handoffv1.TicketStatus) {
	m.post(func(r *handoffv1.Record) {
		r.EventTime = timestamppb.New(m.now)
		r.Body = &handoffv1.Record_TicketEvent{TicketEvent: &handoffv1.TicketEvent{
			TicketId: fmt.Sprint("t", number), Episode: number, Status: status,
		}}
	})
}
