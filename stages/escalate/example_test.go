package escalate_test

import (
	"fmt"
	"strings"

	"github.com/handoff-dev/handoff/stages/escalate"
)

// The episode machine, whole.
func ExampleTransitions() {
	for _, t := range escalate.Transitions() {
		name := func(s escalate.State) string {
			s2 := strings.ToLower(strings.TrimPrefix(s.String(), "EPISODE_STATE_"))
			return strings.Replace(s2, "unspecified", "none", 1)
		}
		fmt.Printf("%-9s | %-18s | %-9s | %s\n", name(t.From), t.On, name(t.To), t.Rule)
	}
	// Output:
	// none      | signal, asked      | offered   | H1, H2
	// none      | signal, not asked  | requested | H2, C13, M4, M6
	// offered   | yes                | requested | H2
	// offered   | no                 | declined  | H2
	// offered   | no answer in time  | lapsed    | H2
	// offered   | refused for good   | failed    | H10
	// offered   | opt-out            | opted_out | C2
	// lapsed    | yes                | requested | H2
	// lapsed    | no                 | declined  | H2
	// lapsed    | refused for good   | failed    | H10
	// requested | ticket exists      | open      | H3
	// requested | refused for good   | failed    | H11
	// requested | opt-out            | opted_out | C2
	// open      | closed at the desk | closed    | H6, M7
	// open      | time is over       | expired   | H7
	// open      | refused for good   | failed    | D1, D2
	// open      | opt-out            | opted_out | C2
	// expired   | agent's reply      | open      | H7
	// expired   | opt-out            | opted_out | C2
	// closed    | agent's reply      | open      | H6
	// opted_out | agent's reply      | open      | C2, H4
	// opted_out | opt-in             | requested | C2, H4
}
