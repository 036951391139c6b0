package desktest

import (
	"slices"
	"testing"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func checkRemoveTags(t *testing.T, d *Desk) {
	id := d.open(t)
	remove := &handoffv1.Command{Action: &handoffv1.Command_RemoveTags{RemoveTags: &handoffv1.RemoveTags{Tags: []string{"sms", "never-there"}}}}
	d.Faults.Add(standin.Fault{Method: "DELETE", Path: "/tags", Kind: standin.NoAnswer})
	d.call(t, d.attempt("untag", remove, id))
	d.call(t, d.attempt("untag again", remove, id))
	if got := d.shown(t, id).Tags; !slices.Equal(got, []string{"messaging_support"}) {
		t.Errorf("tags %v", got)
	}
}

func assign(team, agent string) *handoffv1.Command {
	return &handoffv1.Command{Action: &handoffv1.Command_AssignTicket{AssignTicket: &handoffv1.AssignTicket{Team: team, Agent: agent}}}
}

func checkAssign(t *testing.T, d *Desk) {
	id := d.open(t)
	before := d.fetchItems(t, id, "")
	after := ""
	if len(before) > 0 {
		after = before[len(before)-1].GetCursor()
	}
	d.Faults.Add(standin.Fault{Method: "PUT", Path: "/tickets/", Kind: standin.NoAnswer})
	d.call(t, d.attempt("team", assign("sms support", ""), id))
	d.call(t, d.attempt("agent", assign("", "alex@agents.example"), id))
	if got := d.shown(t, id); got.Team != "SMS Support" || got.Assignee != "Alex Agent" {
		t.Errorf("assigned to team %q and %q", got.Team, got.Assignee)
	}
	for _, item := range d.fetchItems(t, id, after) {
		if item.GetAssignee() != "" && !item.GetByHandoff() {
			t.Errorf("its own assignment looks like an agent's: %v", item)
		}
	}
	for name, cmd := range map[string]*handoffv1.Command{"no team": assign("Nobody", ""), "no agent": assign("", "nobody@agents.example")} {
		_, err := d.tryCall(t, d.attempt(name, cmd, id))
		wantKind(t, err, caller.Permanent)
		if caller.AsError(err).TicketGone {
			t.Errorf("%s: the ticket is taken for gone", name)
		}
	}
}

func checkPriority(t *testing.T, d *Desk) {
	id := d.open(t)
	urgent := "urgent"
	if !d.TerminalClose { // Gorgias' word
		urgent = "critical"
	}
	for i, step := range []struct {
		set  handoffv1.Priority
		want string
	}{
		{handoffv1.Priority_PRIORITY_LOW, "low"}, {handoffv1.Priority_PRIORITY_NORMAL, "normal"},
		{handoffv1.Priority_PRIORITY_HIGH, "high"}, {handoffv1.Priority_PRIORITY_URGENT, urgent},
	} {
		set := &handoffv1.Command{Action: &handoffv1.Command_SetPriority{SetPriority: &handoffv1.SetPriority{Priority: step.set}}}
		d.call(t, d.attempt("priority"+string(rune('0'+i)), set, id))
		if got := d.shown(t, id).Priority; got != step.want {
			t.Errorf("priority %q, want %q", got, step.want)
		}
	}
}
