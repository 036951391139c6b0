package explain

import (
	"cmp"
	"slices"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// order is where a line stands among those of the same moment: in the order in which one thing was caused by another,
// as far as the records tell that, else in the order of a message's way.
type order struct {
	// rank is first for what everything else at the moment may come of, last for what is known only afterwards.
	rank int
	// depth is how many records lie between what began it and this, of the index of the record that it was made from
	// (-1 where that is not known), stage who made it, and nth the how-manieth it was.
	depth, of, stage, nth int
}

const (
	first = -1
	last  = 1
)

func (o order) compare(with order) int {
	return cmp.Or(cmp.Compare(o.rank, with.rank), cmp.Compare(o.depth, with.depth), cmp.Compare(o.of, with.of),
		cmp.Compare(o.stage, with.stage), cmp.Compare(o.nth, with.nth))
}

// stages in the order of a message's way.
var stages = []string{schemas.StageClassify, schemas.StageConsent, schemas.StageEscalate, schemas.StageDeliver}

// mostMade is how many records a stage is taken to make of one: what comes behind them counts as begun by itself.
const mostMade = 64

// origins finds for each entry the one that it was made from. Ids are derived from it, so that nothing else has to
// be kept for that; the result of a call comes of the command, and so does word that it fails.
func origins(entries []Entry) []order {
	at, turns := places(entries)
	from := make([]order, len(entries))
	for i, e := range entries {
		from[i].of = -1
		if e.Topic != schemas.TopicAnalytics { // of what a timer led to, facts come first
			from[i].nth = 1
		}
	}
	for i, e := range entries {
		for _, stage := range stages {
			if schemas.Mailbox(stage) != e.Topic {
				continue
			}
			for n := range mostMade {
				if made, ok := at[string(schemas.EffectID(e.Record.GetId(), stage, n))]; ok {
					from[made].of, from[made].nth = i, n
				}
			}
		}
		if call, ok := at[unhex(callOf(e.Record))]; ok {
			from[i].of = call
		}
		if reply := e.Record.GetBotReply(); reply != nil && from[i].of < 0 { // its id is of the answer, not of the question
			if call, ok := turns[turn{e.Record.GetConversation(), reply.GetTurn()}]; ok {
				from[i].of = call
			}
		}
	}
	for i := range from {
		for of := from[i].of; of >= 0 && from[i].depth < len(from); of = from[of].of {
			from[i].depth++
		}
	}
	return from
}

// places are where entries are, by their ids and as questions to the bot.
func places(entries []Entry) (at map[string]int, turns map[turn]int) {
	at, turns = make(map[string]int, len(entries)), map[turn]int{}
	for i, e := range entries {
		if asked := e.Record.GetCommand().GetAskBot(); asked != nil {
			turns[turn{e.Record.GetConversation(), asked.GetTurn()}] = i
		}
		if id := string(e.Record.GetId()); id != "" {
			if _, twice := at[id]; !twice {
				at[id] = i
			}
		}
	}
	return at, turns
}

// turn is a turn of the bot in a conversation.
type turn struct {
	conversation string
	number       uint64
}

// callOf is the call that a record tells of, "" where it tells of none.
func callOf(r *handoffv1.Record) string {
	if failing := r.GetDeskFailing().GetCallIds(); len(failing) > 0 {
		return failing[0]
	}
	return r.GetCallResult().GetCallId()
}

// placed gives a line its place among those of the same moment.
func (s *story) placed(l *Line) {
	if l.order.rank == first { // these stay as they came: none of them is the cause of another
		return
	}
	l.order = s.from[s.now]
	l.order.stage = slices.Index(stages, l.Stage)
}
