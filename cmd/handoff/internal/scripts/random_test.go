package scripts

import (
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/pipeline/script"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// interleavings is about how many random steps TestRandomConversations takes; HANDOFF_INTERLEAVINGS sets
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

// turnedToo are more of them, by which less is texted.
var turnedToo = []string{
	"consent: {double_opt_in: true}", "consent: {double_opt_in: true}", "consent: {double_opt_in: false}",
	"consent: {quiet_hours: true}", "consent: {quiet_hours: true}", "consent: {quiet_hours: false}", "time_zone: Asia/Tokyo", "time_zone: UTC",
}

// shipped are rules that a shop turns on: those that text, tag and hand over.
var shipped = []string{"message-received", "order-status", "reopened-sms", "route-by-intent-and-sentiment", "new-sms-follow-up-check", "double-opt-in"}

// commands are what may happen next, the likely ones more often: what customers, agents, bot, desk and provider
// do, and in the wide choice what the platform, whoever decides and links, and rules do as well.
func commands(wide bool) *rapid.Generator[script.Command] {
	upTo := func(to int) *rapid.Generator[int] { return rapid.IntRange(1, to) }
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
		switch upTo(20).Draw(t, "kind") {
		case 20:
			c.Args["id"] = fmt.Sprintf("m%d", upTo(3).Draw(t, "id"))
		case 19:
			c.Args["opt-out-type"] = rapid.SampledFrom([]string{"stop", "start", "help"}).Draw(t, "type")
		}
		return c
	})
	ticket := func(c script.Command) *rapid.Generator[script.Command] {
		return rapid.Map(upTo(4), func(n int) script.Command {
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
	delivery := rapid.Map(upTo(6), func(n int) script.Command {
		c := script.Command{Name: "delivery", Args: map[string]string{"text": strconv.Itoa(1 + n/2), "status": "delivered"}}
		if n%2 == 0 {
			c.Args["status"], c.Args["code"] = "failed", "21610"
		}
		return c
	})
	turn := turned
	if wide {
		turn = slices.Concat(turned, turnedToo)
	}
	settings := rapid.Map(rapid.SampledFrom(turn), func(s string) script.Command { return text("settings", s) })
	// from one of the people, or about them.
	about := func(c script.Command, args ...string) *rapid.Generator[script.Command] {
		return rapid.Custom(func(t *rapid.T) script.Command {
			with := c
			with.Args = map[string]string{"from": rapid.SampledFrom(people).Draw(t, "from")}
			for _, a := range args {
				name, values, _ := strings.Cut(a, "=")
				if v := rapid.SampledFrom(strings.Split(values, "|")).Draw(t, name); v != "" {
					with.Args[name] = v
				}
			}
			return with
		})
	}
	imports := rapid.OneOf(about(script.Command{Name: "import", Words: []string{"subscribed"}}, "at=|-1h|-30s"),
		about(script.Command{Name: "import", Words: []string{"unsubscribed"}}, "at=|-1h|-30s", "scope=|shop"),
		about(script.Command{Name: "import", Words: []string{"pending"}}, "at=|-1h"), about(script.Command{Name: "import", Words: []string{"conversational"}}, "at=|-1h"))
	decisions := rapid.OneOf(about(script.Command{Name: "decide", Words: []string{"opt-out"}}), about(script.Command{Name: "decide", Words: []string{"keep"}}))
	links := rapid.Map(rapid.Bool(), func(other bool) script.Command {
		from, to := people[0], people[1]
		if other {
			from, to = to, from
		}
		return script.Command{Name: "link", Args: map[string]string{"from": from, "other": to}}
	})
	sends := rapid.OneOf(about(text("platform", "Sale! Do you want the code?"), "to=|"+numbers[1], "asks=yes"), about(text("platform", "Your parcel is on its way."), "to=|"+numbers[1]))
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
	if wide {
		all = append(all, imports, decisions, links, sends, sends, one("rules", shipped...), ticket(script.Command{Name: "desk", Args: map[string]string{"assign": "Kim"}}))
	}
	return rapid.OneOf(all...)
}

// conversation is one random conversation as it goes.
type conversation struct {
	world    *script.World
	judge    *judge
	given    []script.Command
	steps    int
	script   strings.Builder // what was done, as a script without what happened
	letters  int             // dead letters so far
	decided  map[int]bool    // which of them were replayed or dropped
	met      map[string]bool // commands that were carried out, without texts
	happened hash.Hash64     // all of it
}

func newConversation(topology script.Topology) (*conversation, error) {
	c := &conversation{judge: newJudge(), decided: map[int]bool{}, met: map[string]bool{}, happened: fnv.New64a()}
	topology.Watch, topology.Rules = c.judge, shippedRules
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
	c.happened.Write([]byte(out))
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
		patience := "1m"
		if c.judge.mustConfirm {
			patience = "25h" // who is asked to confirm has a day
		}
		all = append(all, script.Command{Name: "wait", Words: []string{patience}})
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
type totals struct {
	conversations, steps, messages, texts, violations int
	// digest of everything that happened, in whatever order conversations were had.
	digest uint64
	first  int    // the lowest number of a conversation that broke an invariant
	told   string // it
}

func (t *totals) add(o totals) {
	t.conversations += o.conversations
	t.steps += o.steps
	t.messages += o.messages
	t.texts += o.texts
	t.digest ^= o.digest
	if o.violations > 0 && (t.violations == 0 || o.first < t.first) {
		t.first, t.told = o.first, o.told
	}
	t.violations += o.violations
}

// converse has one random conversation, always the same one of a seed and a number, and judges it. Those with
// odd numbers draw from the wide choice.
func converse(topology script.Topology, many [2]*rapid.Generator[[]script.Command], seed, number int) (totals, error) {
	c, err := newConversation(topology)
	if err != nil {
		return totals{}, err
	}
	for _, command := range many[number%2].Example(seed<<32 + number) {
		c.given = append(c.given, command)
		if c.do(command); c.judge.broken != "" {
			break
		}
	}
	if c.judge.broken == "" {
		c.finish()
	}
	sum := totals{conversations: 1, steps: c.steps, messages: c.judge.messages, texts: c.judge.texts, digest: c.happened.Sum64() * uint64(2*number+1)}
	if c.judge.broken != "" {
		sum.violations, sum.first, sum.told = 1, number, c.told(topology)
	}
	return sum, nil
}

// converseFrom has conversations with these numbers on all processors.
func converseFrom(t *testing.T, topology script.Topology, seed, from, to int) totals {
	t.Helper()
	var next atomic.Int64
	next.Store(int64(from))
	var mu sync.Mutex
	var sum totals
	var workers errgroup.Group
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() error {
			many := [2]*rapid.Generator[[]script.Command]{rapid.SliceOfN(commands(false), stepsEach, stepsEach), rapid.SliceOfN(commands(true), stepsEach, stepsEach)}
			for n := int(next.Add(1)) - 1; n < to; n = int(next.Add(1)) - 1 {
				one, err := converse(topology, many, seed, n)
				if err != nil {
					return err
				}
				mu.Lock()
				sum.add(one)
				mu.Unlock()
			}
			return nil
		})
	}
	if err := workers.Wait(); err != nil {
		t.Fatal(err)
	}
	return sum
}

// readOnce reads a document of settings once and gives the same shop, which nobody changes, for it again:
// random shops have the same few settings.
func readOnce(check func([]byte) (*settings.Shop, error)) func([]byte) (*settings.Shop, error) {
	type read struct {
		shop *settings.Shop
		err  error
	}
	var known sync.Map
	return func(document []byte) (*settings.Shop, error) {
		if r, ok := known.Load(string(document)); ok {
			return r.(read).shop, r.(read).err
		}
		shop, err := check(document)
		known.Store(string(document), read{shop, err})
		return shop, err
	}
}

// number is what an environment variable says, or the given one.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestRandomConversations lets customers, agents, bot, desk, provider and platform do random things at random
// times, with records and calls that wait for each other in any order, and the invariants hold. What fails is
// made small and printed as a script. Conversations have numbers, and each is the same in every process that
// has the same seed: HANDOFF_INTERLEAVINGS says how many steps they take together, about, HANDOFF_FROM the
// number to begin with, for a run that was broken off.
func TestRandomConversations(t *testing.T) {
	topology, err := app.Topology("")
	if err != nil {
		t.Fatal(err)
	}
	topology.Check = readOnce(topology.Check)
	seed, from := number(t, "HANDOFF_SEED", 20), number(t, "HANDOFF_FROM", 0)
	count := 1 + number(t, "HANDOFF_INTERLEAVINGS", interleavings)/stepsEach*11/10
	began, sum := time.Now(), totals{}
	const piece = 10_000
	for at := from; at < count; at += piece {
		sum.add(converseFrom(t, topology, seed, at, min(at+piece, count)))
		t.Logf("seed %d: %d interleavings in conversations %d to %d, %d messages, %d texts, %d violations, digest %016x, in %.1f s",
			seed, sum.steps, from, min(at+piece, count)-1, sum.messages, sum.texts, sum.violations, sum.digest, time.Since(began).Seconds())
		if sum.violations > 0 {
			t.Fatalf("conversation %d (HANDOFF_SEED=%d HANDOFF_FROM=%d repeats it): %s", sum.first, seed, sum.first, sum.told)
		}
	}
}
