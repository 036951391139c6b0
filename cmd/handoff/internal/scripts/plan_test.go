package scripts

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/pipeline/script"
)

// plan is what happens in a script in memory, and when.
type plan struct {
	name     string
	topology script.Topology
	text     []byte
	file     *script.File
	steps    []planned
	world    *script.World // as it was left
}

// planned is one command.
type planned struct {
	at, end time.Time   // when it begins, and the last moment that belongs to it
	moments []time.Time // at which something happens by itself, since the command before
	out     string
}

// planOf plays a script in memory with the stages of a topology, for a shop of its own: by that the
// conversations of many scripts are kept apart in one Kafka. Its desk is not polled; whatever happens
// there is told.
func planOf(t *testing.T, path, shop string, topology script.Topology) *plan {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	topology.Rules, topology.Punctual = shippedRules, true
	topology.Settings = bytes.Replace(script.BaseSettings(), []byte("shop: acme\n"), []byte("shop: "+shop+"\n"), 1)
	topology.Settings = bytes.Replace(topology.Settings, []byte("desk: {"), []byte("desk: {poll: 0s, "), 1)
	p := &plan{text: text, name: strings.TrimSuffix(filepath.Base(path), ".txt"), topology: topology}
	if p.file, err = script.Parse(p.name, text); err != nil {
		t.Fatal(err)
	}
	w, err := script.NewWorld(topology)
	if err != nil {
		t.Fatal(err)
	}
	p.world = w
	for _, s := range p.file.Steps {
		if err := p.play(s.Command); err != nil {
			t.Fatalf("%s:%d: %v", path, s.Line, err)
		}
	}
	return p
}

// play plays the next command in memory.
func (p *plan) play(c script.Command) error {
	at := p.world.Clock()
	if len(p.steps) > 0 {
		at = at.Add(time.Second)
	}
	out, err := p.world.Run(c)
	if err != nil {
		return err
	}
	step := planned{at: at, out: out}
	step.end, step.moments = p.world.Clock(), slices.Clone(p.world.Moments())
	p.steps = append(p.steps, step)
	return nil
}

// longest is how long a script may take by its own clock to go through Kafka with the others. All end at one time:
// beside one that waits for years, the others would be looked after for years too. Those that take longer go through
// Kafka by themselves.
const longest = 60 * 24 * time.Hour

// years tells whether a script takes longer than that.
func years(p *plan) bool { return len(p.steps) > 0 && p.world.Clock().Sub(p.steps[0].at) > longest }

// plans of the scripts that keep says yes to, all of them where it is nil, without those that take years.
func plans(t *testing.T, keep func(name string) bool) []*plan {
	t.Helper()
	return plansOf(t, func(p *plan) bool { return !years(p) }, keep)
}

// holdsStages tells whether a script holds a stage, or has it read record by record. On Kafka a stage that stands still
// for one script does so for all whose records are in the same partition, so these go through Kafka one by one.
func holdsStages(p *plan) bool {
	return slices.ContainsFunc(p.file.Steps, func(s script.Step) bool { return s.Args["stage"] != "" && s.Name != "lose" })
}

// plansOf are plans of the kind that is asked for, of scripts that hold no stage.
func plansOf(t *testing.T, is func(*plan) bool, keep func(name string) bool) []*plan {
	t.Helper()
	return allPlans(t, func(p *plan) bool { return is(p) && !holdsStages(p) }, keep)
}

// allPlans are plans of the kind that is asked for, all with one end.
func allPlans(t *testing.T, is func(*plan) bool, keep func(name string) bool) []*plan {
	t.Helper()
	topology, err := app.Topology("../../../../pipeline/script/testdata/models")
	if err != nil {
		t.Fatal(err)
	}
	var all []*plan
	for i, path := range scriptFiles(t) {
		if keep != nil && !keep(strings.TrimSuffix(filepath.Base(path), ".txt")) {
			continue
		}
		p := planOf(t, path, fmt.Sprintf("acme%d", i), topology)
		if is(p) {
			all = append(all, p)
		}
	}
	// All end at one time, so that what they leave can be compared.
	end := time.Time{}
	for _, p := range all {
		if now := p.world.Clock(); now.After(end) {
			end = now
		}
	}
	for _, p := range all {
		text := fmt.Appendf(p.text, "\n\nwait %s\n----\n", end.Add(time.Minute).Sub(p.world.Clock()))
		if p.file, err = script.Parse(p.name, text); err != nil {
			t.Fatal(err)
		}
		if err := p.play(p.file.Steps[len(p.steps)].Command); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if n := len(p.steps[len(p.steps)-1].moments); n > mostBehind {
			t.Fatalf("%s: things happen by themselves at %d moments behind its end, at most %d are good to wait for: end what is polled",
				p.name, n, mostBehind)
		}
	}
	return all
}

// mostBehind is at how many moments something may happen by itself once a script has ended: every script waits for
// the end of the longest, and on Kafka all go through each moment of one.
const mostBehind = 100

// place of a record, as it stands in reasons: which partition and offset one has is not compared.
var place = regexp.MustCompile(`handoff\.([a-z]+)/\d+/(timer/[^/ ]+/\d+/)?\d+`)

// teller of an opt-out to linked addresses: which of them is heard first is not compared.
var teller = regexp.MustCompile(`\(link \+\d+, `)

// evidence is the hash of what a reduced ledger said, the teller among it; the states are compared whole.
var evidence = regexp.MustCompile(`hmac-sha256 [0-9a-f]{64}`)

// compared is what counts of what happened at a command: its lines. What is posted to several topics in one
// moment is read from them in any order, so lines are compared without theirs; what belongs to a line stays
// with it. The lines of a story have their times.
func compared(command, out string) string {
	var parts []string
	out = evidence.ReplaceAllString(out, "hmac-sha256")
	out = teller.ReplaceAllString(place.ReplaceAllString(out, "handoff.$1/place"), "(link, ")
	for line := range strings.Lines(out) {
		if n := len(parts); n > 0 && command != "explain" && strings.HasPrefix(line, "  ") {
			parts[n-1] += line
		} else {
			parts = append(parts, line)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, "")
}

// outside is what left in what happened, in order: texts, and what was done at the desk.
func outside(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "text to ") || strings.HasPrefix(line, "ticket ") || strings.HasPrefix(line, "bot asked ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// differs tells how a script went elsewhere than in memory; "" where it went the same.
func (p *plan) differs(happened []string) string {
	want, got := make([]string, len(p.steps)), make([]string, len(p.steps))
	same := true
	for i, s := range p.steps {
		if p.file.Steps[i].Name == "ledger" {
			continue // it looks at consent's state, which is compared at the end
		}
		want[i], got[i] = compared(p.file.Steps[i].Name, s.out), compared(p.file.Steps[i].Name, happened[i])
		if want[i] == got[i] && outside(s.out) != outside(happened[i]) {
			want[i], got[i] = s.out, happened[i] // the order is what differs
		}
		same = same && want[i] == got[i]
	}
	if same {
		return ""
	}
	return difference(p.file, p.file.Render(want), p.file.Render(got), false)
}
