package scripts

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/pipeline/script"
)

// interleavings is how many random steps TestRandomConversations takes; HANDOFF_INTERLEAVINGS sets
// another number.
const interleavings = 100_000

// stepsEach is how many commands a random conversation has on the average.
const stepsEach = 50

// people who write, and the numbers they write to.
var (
	people  = []string{"+14155550001", "+14155550002"}
	numbers = []string{"+15557770000", "+15557770001"}
)

// beginning is the first command of every random conversation: a second number, and no look at tickets
// that nobody told of, which would fill long waits.
var beginning = script.Command{Name: "settings", Input: `accounts:
  - {channel: sms, account: "+15557770000", provider: twilio, user: ACacme, secret: "env:ACME_TWILIO"}
  - {channel: sms, account: "+15557770001", provider: twilio, user: ACacme, secret: "env:ACME_TWILIO"}
desk: {poll: 0s}`}

// said is what people write: what each reading of a message needs, and what is like it.
var said = []string{
	"STOP", "STOP", "stop", "START", "unstop", "HELP", "yes", "yes", "no", "yes please, order 4412", "no thanks", "thanks!", "ok",
	"I want to cancel my order", "I want a refund", "where is my order?", "do you ship to Canada?",
	"let me talk to a real person", "this is the worst shop ever, I hate you", "please stop texting me",
	"stop texting me and refund order 4412", "stop sending me the wrong size", "qwx zzrt", "👍", "wrong number", "cancel", "merci 🙏",
}

// turned are settings that a shop turns on and off.
var turned = []string{
	"mode: mirror", "mode: escalate", "active: false", "active: true", "support_details: false", "support_details: true",
	"handoff: {on_stop: leave_open}", "handoff: {on_stop: close}", "handoff: {answer_after_stop: true}", "handoff: {skip_offer_when_asked: true}",
	"handoff: {answer_grace: 10m, close_on_thanks: true}", "handoff: {say_resumed: true, pause_from_opening: true}",
	"bot: {in_mirror_mode: true}", "consent: {opt_out_scope: account}", "consent: {opt_out_scope: shop}", "consent: {opt_out_scope: channel}",
	"consent: {reply_requires: subscription}", "consent: {reply_requires: conversation}", "handoff: {offer_lapses: 1h, offer_again_after: 1h}",
}

// commands are what may happen next, the likely ones more often.
func commands() *rapid.Generator[script.Command] {
	number := func(to int) *rapid.Generator[int] { return rapid.IntRange(1, to) }
	one := func(name string, words ...string) *rapid.Generator[script.Command] {
		return rapid.Map(rapid.SampledFrom(words), func(w string) script.Command {
			c := script.Command{Name: name}
			if name, value, ok := strings.Cut(w, "="); ok {
				c.Args = map[string]string{name: value}
			} else if w != "" {
				c.Words = []string{w}
			}
			return c
		})
	}
	customer := rapid.Custom(func(t *rapid.T) script.Command {
		c := script.Command{Name: "customer", Input: rapid.SampledFrom(said).Draw(t, "text"), Args: map[string]string{
			"from": rapid.SampledFrom(people).Draw(t, "from")}}
		if to := rapid.SampledFrom(numbers).Draw(t, "to"); to != numbers[0] {
			c.Args["to"] = to
		}
		switch number(20).Draw(t, "kind") {
		case 20:
			c.Args["id"] = fmt.Sprintf("m%d", number(3).Draw(t, "id"))
		case 19:
			c.Args["opt-out-type"] = rapid.SampledFrom([]string{"stop", "start", "help"}).Draw(t, "type")
		}
		return c
	})
	ticket := func(c script.Command) *rapid.Generator[script.Command] {
		return rapid.Map(number(4), func(n int) script.Command {
			with := c
			with.Args = map[string]string{}
			for k, v := range c.Args {
				with.Args[k] = v
			}
			if n > 1 {
				with.Args["ticket"] = strconv.Itoa(n - 1)
			}
			return with
		})
	}
	text := func(name, said string) script.Command { return script.Command{Name: name, Input: said} }
	status := func(s string) *rapid.Generator[script.Command] {
		return ticket(script.Command{Name: "desk", Args: map[string]string{"status": s}})
	}
	delivery := rapid.Map(number(6), func(n int) script.Command {
		c := script.Command{Name: "delivery", Args: map[string]string{"text": strconv.Itoa(1 + n/2), "status": "delivered"}}
		if n%2 == 0 {
			c.Args["status"], c.Args["code"] = "failed", "21610"
		}
		return c
	})
	settings := rapid.Map(rapid.SampledFrom(turned), func(s string) script.Command { return text("settings", s) })
	all := []*rapid.Generator[script.Command]{
		customer, customer, customer, customer, customer, customer, customer, customer, customer, customer,
		rapid.Just(text("bot", "It ships tomorrow.")), rapid.Just(text("bot", "It ships tomorrow.")), one("bot", "cannot-answer=unknown"), one("bot-auto", "on", "off"),
		ticket(text("agent", "Hi, I look into it.")), ticket(text("agent", "Hi, I look into it.")), ticket(text("agent", "Done #optout")),
		status("solved"), status("solved"), status("closed"), status("open"), rapid.OneOf(status("pending"), status("spam"), status("deleted")),
		rapid.Map(rapid.SampledFrom(people), func(from string) script.Command {
			return script.Command{Name: "echo", Args: map[string]string{"from": from}, Input: "I see to it myself."}
		}),
		one("wait", "1s", "10s", "1m", "6m", "1h", "23h", "24h", "26h"), one("wait", "2s", "11s", "30m"),
		one("hold", "", "answers", "stage=classify", "stage=consent", "stage=escalate", "stage=deliver"),
		one("release", "", "answers", "stage=classify", "stage=consent", "stage=escalate", "stage=deliver"),
		one("release", "", "answers", "stage=classify", "stage=consent", "stage=escalate", "stage=deliver"),
		one("step", "stage=classify", "stage=consent", "stage=escalate", "stage=deliver"),
		one("provider", "down", "up", "up", "fail=21610", "fail=30006"), one("desk", "down", "up", "up", "refuse=422", "accept", "accept"),
		one("lose", "stage=classify", "stage=consent", "stage=escalate", "stage=deliver"),
		rapid.OneOf(one("replay", "", "letter=1", "letter=2"), one("drop", "", "letter=1")), one("replay", ""),
		one("restart", ""), settings, settings, delivery,
	}
	return rapid.OneOf(all...)
}

// conversation is one random conversation as it goes.
type conversation struct {
	world   *script.World
	judge   *judge
	given   []script.Command
	steps   int
	script  strings.Builder // what was done, as a script without what happened
	letters int             // dead letters so far
	decided map[int]bool    // which of them were replayed or dropped
	met     map[string]bool // commands that were carried out, without texts
}

func newConversation(topology script.Topology) (*conversation, error) {
	c := &conversation{judge: newJudge(), decided: map[int]bool{}, met: map[string]bool{}}
	topology.Watch = c.judge
	var err error
	if c.world, err = script.NewWorld(topology); err != nil {
		return nil, err
	}
	c.judge.world = c.world
	c.do(beginning)
	return c, nil
}

// do carries out a command, unless it has no sense now, like an answer of a bot that was not asked: then
// nothing happens.
func (c *conversation) do(command script.Command) {
	c.judge.before(command)
	out, err := c.world.Run(command)
	if errors.Is(err, script.ErrWorld) {
		c.judge.breaks(goesOn, "%v", err)
	}
	if err != nil {
		return
	}
	c.steps++
	line, _, _ := strings.Cut(command.String(), "\n")
	c.met[line] = true
	c.script.WriteString(command.String() + "----\n\n")
	if command.Name == "replay" || command.Name == "drop" {
		n, err := strconv.Atoi(command.Args["letter"])
		if err != nil {
			n = c.letters
		}
		c.decided[n] = true
	}
	c.letters += strings.Count(out, "dead letter in ") // also one that the replay of another brought
	c.judge.after(command, len(c.decided) < c.letters)
}

// finish lets everything go on and waits until nothing is left to do, then judges what must have
// happened.
func (c *conversation) finish() {
	var all []script.Command
	for _, again := range []string{"hold", "hold answers", "hold stage=classify", "hold stage=consent", "hold stage=escalate", "hold stage=deliver",
		"desk down", "desk refuse=422", "provider down"} {
		if c.met[again] {
			all = append(all, undo(again))
		}
	}
	for range 2 {
		for n := 1; n <= c.letters; n++ {
			if !c.decided[n] {
				all = append(all, script.Command{Name: "replay", Args: map[string]string{"letter": strconv.Itoa(n)}})
			}
		}
		for range 4 {
			all = append(all, script.Command{Name: "bot", Input: "It ships tomorrow."})
		}
		all = append(all, script.Command{Name: "wait", Words: []string{"1m"}})
		for _, command := range all {
			c.do(command)
		}
		all = nil
	}
	c.judge.end()
}

// undo is the command that ends what another one began.
func undo(command string) script.Command {
	name, rest, _ := strings.Cut(command, " ")
	switch {
	case name != "hold" && rest == "refuse=422":
		return script.Command{Name: name, Words: []string{"accept"}}
	case name != "hold":
		return script.Command{Name: name, Words: []string{"up"}}
	case rest == "":
		return script.Command{Name: "release"}
	case rest == "answers":
		return script.Command{Name: "release", Words: []string{rest}}
	}
	return script.Command{Name: "release", Args: map[string]string{"stage": strings.TrimPrefix(rest, "stage=")}}
}

// told is a broken invariant, and a script that shows it: of the commands that were given no one can be
// left out.
func (c *conversation) told(topology script.Topology) string {
	given, broken := c.given, c.judge.broken
	again := func(commands []script.Command) *conversation {
		c, err := newConversation(topology)
		if err != nil {
			return nil
		}
		for _, command := range commands {
			c.do(command)
			if c.judge.broken == broken {
				return c
			}
		}
		c.finish()
		if c.judge.broken == broken {
			return c
		}
		return nil
	}
	small := c
	for size := len(given); size > 0; size /= 2 {
		for from := 0; from < len(given); {
			fewer := slices.Concat(given[:from], given[min(from+size, len(given)):])
			if still := again(fewer); still != nil {
				given, small = fewer, still
			} else {
				from += size
			}
		}
	}
	return fmt.Sprintf("%s: %s\n\n%s", broken, small.judge.how, small.script.String())
}

// totals of many conversations.
type totals struct{ conversations, steps, messages, texts, violations int }

func (t *totals) add(o totals) {
	t.conversations += o.conversations
	t.steps += o.steps
	t.messages += o.messages
	t.texts += o.texts
	t.violations += o.violations
}

// converse is the property: a random conversation in a topology keeps the invariants.
func converse(topology script.Topology, sum *totals) func(*rapid.T) {
	next := commands()
	return func(t *rapid.T) {
		c, err := newConversation(topology)
		if err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){"command": func(t *rapid.T) {
			command := next.Draw(t, "command")
			c.given = append(c.given, command)
			c.do(command)
			if c.judge.broken != "" {
				t.Fatalf("%s", c.told(topology))
			}
		}})
		c.finish()
		sum.conversations++
		sum.steps += c.steps
		sum.messages += c.judge.messages
		sum.texts += c.judge.texts
		if c.judge.broken != "" {
			t.Fatalf("%s", c.told(topology))
		}
	}
}

// set gives a flag of rapid another value for the rest of the test.
func set(t *testing.T, name, value string) {
	t.Helper()
	f := flag.Lookup(name)
	old := f.Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(name, old) })
}

// TestRandomConversations lets customers, agents, bot, desk and provider do random things at random
// times, with records and calls that wait for each other in any order, and the invariants hold. What
// fails is made small and printed as a script; -rapid.seed repeats a run. As many as
// HANDOFF_INTERLEAVINGS says are divided among the processors.
func TestRandomConversations(t *testing.T) {
	wanted, workers := interleavings, 1
	if v := os.Getenv("HANDOFF_INTERLEAVINGS"); v != "" {
		var err error
		if wanted, err = strconv.Atoi(v); err != nil {
			t.Fatalf("HANDOFF_INTERLEAVINGS: %v", err)
		}
		workers = runtime.GOMAXPROCS(0)
	}
	topology, err := app.Topology("")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("HANDOFF_INTERLEAVINGS") == "" && flag.Lookup("rapid.seed").Value.String() == "0" {
		set(t, "rapid.seed", "20") // a change is judged by itself; make torture looks for what nobody met yet
	}
	set(t, "rapid.shrinktime", "0s") // told does it, by commands
	set(t, "rapid.steps", strconv.Itoa(stepsEach))
	set(t, "rapid.checks", strconv.Itoa(1+wanted/workers/stepsEach*11/10))
	began, all := time.Now(), make([]totals, workers)
	t.Cleanup(func() {
		var sum totals
		for _, one := range all {
			sum.add(one)
		}
		t.Logf("%d interleavings in %d conversations, %d messages, %d texts, %d violations, in %.1f s",
			sum.steps, sum.conversations, sum.messages, sum.texts, sum.violations, time.Since(began).Seconds())
	})
	for i := range workers {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() {
				if t.Failed() {
					all[i].violations = 1
				}
			})
			rapid.Check(t, converse(topology, &all[i]))
		})
	}
}
