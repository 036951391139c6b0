package scripts

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/pipeline/script"
	"github.com/handoff-dev/handoff/stages/escalate"
)

// ShowRules plays a script with a shop's settings and shows, after each command, every rule that was asked:
// whether it matched, else which conditions failed and why, and what it did; then what happened.
func ShowRules(name string, settings []byte, out io.Writer) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	f, err := script.Parse(name, text)
	if err != nil {
		return err
	}
	var asked []escalate.RuleAsked
	topology, err := app.TopologyAsked("", func(a escalate.RuleAsked) { asked = append(asked, a) })
	if err != nil {
		return err
	}
	topology.Settings, topology.Rules = settings, readRules
	w, err := script.NewWorld(topology)
	if err != nil {
		return err
	}
	for _, s := range f.Steps {
		asked = asked[:0]
		happened, err := w.Run(s.Command)
		if err != nil {
			return &script.SyntaxError{File: name, Line: s.Line, Err: err}
		}
		command := strings.TrimRight(s.String(), "\n")
		fmt.Fprintf(out, "%s:%d: %s\n", name, s.Line, strings.ReplaceAll(command, "\n", "\n    "))
		shown := map[string]bool{} // a rule may be asked again later in the same turn
		for _, a := range asked {
			if text := ruleText(a); !shown[text] {
				shown[text] = true
				fmt.Fprint(out, text)
			}
		}
		for line := range strings.SplitSeq(strings.TrimRight(happened, "\n"), "\n") {
			fmt.Fprintf(out, "  > %s\n", line)
		}
	}
	return nil
}

// ruleText is what came of one rule.
func ruleText(a escalate.RuleAsked) string {
	var b strings.Builder
	verdict := "matches"
	if len(a.Failed) > 0 {
		verdict = "does not match"
	}
	fmt.Fprintf(&b, "  %s: rule %s %s\n", a.When, a.Rule, verdict)
	for _, line := range slices.Concat(a.Failed, a.Did) {
		fmt.Fprintf(&b, "      %s\n", line)
	}
	for _, why := range a.Refused {
		fmt.Fprintf(&b, "      not done: %s\n", why)
	}
	return b.String()
}
