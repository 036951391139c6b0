package scripts

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/script"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// broken is a stage that does something wrong after each record or timer.
type broken struct {
	pipeline.Stage
	wrong func(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects)
}

// Process implements pipeline.Stage.
func (b broken) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	if err := b.Stage.Process(in, st, fx); err != nil {
		return err
	}
	b.wrong(in, st, fx)
	return nil
}

// Failed implements pipeline.FailureHandler where the stage does.
func (b broken) Failed(in *pipeline.Input, letter string, cause error, fx *pipeline.Effects) {
	if h, ok := b.Stage.(pipeline.FailureHandler); ok {
		h.Failed(in, letter, cause, fx)
	}
}

// breaks makes a stage of a topology a broken one.
func breaks(stage string, wrong func(*pipeline.Input, pipeline.State, *pipeline.Effects)) func(*script.Topology) {
	return func(t *script.Topology) {
		i := slices.IndexFunc(t.Stages, func(s pipeline.Stage) bool { return s.Name() == stage })
		t.Stages[i] = broken{t.Stages[i], wrong}
	}
}

// drops makes a stage keep back what it should post.
func drops(stage string, which func(*handoffv1.Record) bool) func(*script.Topology) {
	return breaks(stage, func(_ *pipeline.Input, _ pipeline.State, fx *pipeline.Effects) {
		fx.Emits = slices.DeleteFunc(fx.Emits, func(e pipeline.Emit) bool { return which(decode(e.Key, e.Value)) })
	})
}

// open is a gate that lets out what the real one refuses for a reason.
type openGate struct {
	caller.Gate
	reason handoffv1.BlockReason
}

// Release implements caller.Gate.
func (g openGate) Release(r pipeline.Reader, c pipeline.PendingCall, now time.Time) (caller.Release, error) {
	rel, err := g.Gate.Release(r, c, now)
	if rel.Verdict == caller.Refuse && rel.Reason == g.reason {
		rel.Verdict = caller.Start
	}
	return rel, err
}

// secondTicket makes escalate create another ticket with each message it appends to one.
func secondTicket(_ *pipeline.Input, _ pipeline.State, fx *pipeline.Effects) {
	for _, e := range slices.Clone(fx.Emits) {
		r := decode(e.Key, e.Value)
		if r.GetCommand().GetAppendMessages() == nil {
			continue
		}
		r.Id = schemas.EffectID(r.GetId(), "broken", 0)
		r.GetCommand().TicketEpisode += 100
		r.GetCommand().Action = &handoffv1.Command_CreateTicket{CreateTicket: &handoffv1.CreateTicket{Subject: "another"}}
		value, err := schemas.Encode(r)
		if err != nil {
			panic(err) // it was one before
		}
		fx.Emit(schemas.TopicDeliver, e.Key, value)
	}
}

// forgetLine makes consent forget its oldest line when it writes another one.
func forgetLine(_ *pipeline.Input, st pipeline.State, _ *pipeline.Effects) {
	var names []string
	st.Scan("line/", func(name string, _ []byte) bool {
		names = append(names, name)
		return true
	})
	if len(names) > 2 {
		st.Delete(names[0])
	}
}

// TestBrokenTopologies: each invariant can fail. A topology with one promise broken is found out by
// random conversations, and what is printed is a script of few commands that shows it again.
func TestBrokenTopologies(t *testing.T) {
	for name, c := range map[string]struct {
		breaks string
		how    func(*script.Topology)
	}{
		"the gate ignores consent": {noTextAfterOptOut, func(t *script.Topology) {
			t.Gate = openGate{t.Gate, handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT}
		}},
		"deliver is not told of opt-outs, nor escalate": {noTextAfterOptOut, drops(schemas.StageConsent, func(r *handoffv1.Record) bool {
			return r.GetConsentChanged().GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED || r.GetConsentNotice() != nil
		})},
		"a second ticket with each message": {oneOpenTicket, breaks(schemas.StageEscalate, secondTicket)},
		"the gate ignores holds": {noAutomatedInPause, func(t *script.Topology) {
			t.Gate = openGate{t.Gate, handoffv1.BlockReason_BLOCK_REASON_PAUSED}
		}},
		"deliver is not told of holds": {noAutomatedInPause, drops(schemas.StageEscalate, func(r *handoffv1.Record) bool { return r.GetHold() != nil })},
		"messages are not appended": {allAnswered, drops(schemas.StageEscalate, func(r *handoffv1.Record) bool {
			return r.GetCommand().GetAppendMessages() != nil
		})},
		"the bot is not asked": {allAnswered, drops(schemas.StageEscalate, func(r *handoffv1.Record) bool { return r.GetCommand().GetAskBot() != nil })},
		"the ledger forgets":   {historyGrows, breaks(schemas.StageConsent, forgetLine)},
	} {
		t.Run(name, func(t *testing.T) {
			topology, err := app.Topology("")
			if err != nil {
				t.Fatal(err)
			}
			c.how(&topology)
			hunt(t, topology, c.breaks)
		})
	}
}

// hunt looks for a conversation that breaks an invariant, and judges what would be printed of it.
func hunt(t *testing.T, topology script.Topology, invariant string) {
	t.Helper()
	const patience = 400
	many := rapid.SliceOfN(commands(false), stepsEach, stepsEach)
	for seed := 1; seed <= patience; seed++ {
		c, err := newConversation(topology)
		if err != nil {
			t.Fatal(err)
		}
		for _, command := range many.Example(seed) {
			c.given = append(c.given, command)
			if c.do(command); c.judge.broken != "" {
				break
			}
		}
		if c.judge.broken == "" {
			c.finish()
		}
		if c.judge.broken != invariant {
			continue
		}
		told := c.told(topology)
		_, text, _ := strings.Cut(told, "\n\n")
		f, err := script.Parse("printed", []byte(text))
		if err != nil {
			t.Fatalf("what is printed is no script: %v\n%s", err, told)
		}
		if len(f.Steps) > 20 {
			t.Errorf("%d commands is not small:\n%s", len(f.Steps), told)
		}
		again, err := newConversation(topology)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range f.Steps[1:] {
			again.do(s.Command)
		}
		if again.judge.end(); again.judge.broken != invariant {
			t.Errorf("the printed script does not show it (%q):\n%s", again.judge.broken, told)
		}
		t.Logf("found with seed %d, in %d commands", seed, len(f.Steps))
		return
	}
	t.Errorf("%d random conversations did not show that %s", patience, invariant)
}
