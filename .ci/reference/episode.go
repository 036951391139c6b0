package main

import (
	"fmt"
	"strings"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/stages/escalate"
)

// episode draws the episode machine and lists its transitions.
func episode(string) (string, error) {
	var b strings.Builder
	b.WriteString(`# The episode machine

One handoff of a conversation, from offer to end, as stages/escalate has it: an episode changes its state in no other way. Automated texts are held in requested and open (H4); an episode that reached requested is an escalation and counts once.

`)
	b.WriteString("```mermaid\nstateDiagram-v2\n")
	drawArrows(&b)
	b.WriteString("```\n\n| from | on | to | behaviour |\n|---|---|---|---|\n")
	for _, t := range escalate.Transitions() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", state(t.From), t.On, state(t.To), t.Rule)
	}
	return b.String(), nil
}

// drawArrows writes a Mermaid arrow for each pair of states, with all that leads from one to the other.
func drawArrows(b *strings.Builder) {
	type arrow struct{ from, to escalate.State }
	var order []arrow
	events := map[arrow][]string{}
	for _, t := range escalate.Transitions() {
		a := arrow{t.From, t.To}
		if events[a] == nil {
			order = append(order, a)
		}
		events[a] = append(events[a], t.On.String())
	}
	for _, a := range order {
		from := strings.ReplaceAll(state(a.from), " ", "_")
		if a.from == handoffv1.EpisodeState_EPISODE_STATE_UNSPECIFIED {
			from = "[*]"
		}
		fmt.Fprintf(b, "  %s --> %s: %s\n", from, strings.ReplaceAll(state(a.to), " ", "_"), strings.Join(events[a], " / "))
	}
}

// state is a state in words.
func state(s escalate.State) string {
	if s == handoffv1.EpisodeState_EPISODE_STATE_UNSPECIFIED {
		return "none"
	}
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(s.String(), "EPISODE_STATE_")), "_", " ")
}
