package classifier

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/stages/classify"
	"github.com/handoff-dev/handoff/stages/classify/corpus"
	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/shipped"
	"github.com/handoff-dev/handoff/stages/classify/train"
)

// card collects the figures of the model card while the shipped model is trained: each message is read by the model
// that was made without its part, whole authors and patterns left out.
type card struct {
	job      *train.Job
	messages []corpus.Message
	// authors by name, and what was grown and is natural.
	authors        map[string]*tally
	grown, natural *tally
	misses         io.Writer
}

func newCard(j *train.Job, messages []corpus.Message, misses io.Writer) *card {
	c := &card{job: j, authors: map[string]*tally{}, grown: newTally(nil), natural: newTally(misses), misses: misses}
	for _, m := range messages {
		if !m.Held {
			c.messages = append(c.messages, m)
		}
	}
	return c
}

// trial reads the messages of a part with the model that was made without it.
func (c *card) trial(part int, trial []byte) error {
	with, err := shipped.Parse(trial)
	if err != nil {
		return err
	}
	stage, err := classify.New(classify.Config{Classifier: with})
	if err != nil {
		return err
	}
	for i, m := range c.messages {
		if c.job.Parts[i] != part {
			continue
		}
		to := c.grown
		switch {
		case m.Natural:
			to = c.natural
		case m.Author != "":
			if to = c.authors[m.Author]; to == nil {
				to = newTally(c.misses)
				c.authors[m.Author] = to
			}
		}
		to.read(stage, m)
	}
	return nil
}

// write writes the figures.
func (c *card) write(out io.Writer) error {
	for _, name := range slices.Sorted(maps.Keys(c.authors)) {
		if err := c.authors[name].write(out, "author "+name+", read by a model trained without the author"); err != nil {
			return err
		}
	}
	if err := c.grown.write(out, "patterns, each read by a model trained without it"); err != nil {
		return err
	}
	return c.natural.write(out, "natural messages, each read by a model trained without it")
}

// count of messages by what was read in them.
type count struct{ wanted, got, right int }

// placed is in the place of a label before the count of messages that were not left unsure.
const placed = ""

// tally adds up how messages are read.
type tally struct {
	misses io.Writer
	// intents by language, "" for all, and label.
	intents map[string]map[string]*count
	// optOuts by language: opt-outs and wrong numbers there are, taken clearly, and possibly.
	optOuts map[string]*[3]int
	wrong   [2]int
	// others are messages that do not opt out, of them taken clearly, possibly, and by a keyword.
	others, taken, possibly, keyword int
}

func newTally(misses io.Writer) *tally {
	return &tally{misses: misses, intents: map[string]map[string]*count{}, optOuts: map[string]*[3]int{}}
}

func (t *tally) miss(format string, args ...any) {
	if t.misses != nil {
		fmt.Fprintf(t.misses, format+"\n", args...)
	}
}

// read reads a message as the stage does and counts it.
func (t *tally) read(stage *classify.Stage, m corpus.Message) {
	out, in := stage.Look(m.Text, handoffv1.Question_QUESTION_UNSPECIFIED)
	stop := out.GetDirective() == handoffv1.Directive_DIRECTIVE_STOP
	if m.Label == corpus.OptOut || m.Label == corpus.WrongNumber {
		t.optOut(m, out, in.OptOutScore, stop)
		return
	}
	if !m.OptOutUnknown {
		t.others++
		switch {
		case stop && !out.GetPlainLanguage():
			t.keyword++
		case stop:
			t.taken++
			t.miss("%s\tis no opt-out\t%.2f %s\t%s", m.Language, in.OptOutScore, out.GetOptOutBy(), m.Text)
		case out.GetPossibleOptOut():
			t.possibly++
			t.miss("%s\tis no opt-out, possible\t%.2f %s\t%s", m.Language, in.OptOutScore, out.GetOptOutBy(), m.Text)
		}
	}
	if m.Natural || !slices.Contains(intent.All(), m.Label) {
		return
	}
	got := in.Intent
	if got != m.Label {
		t.miss("%s\t%s\t%s %.2f\t%s", m.Language, m.Label, got, in.Confidence, m.Text)
	}
	for _, language := range []string{"", m.Language} {
		of := t.intents[language]
		if of == nil {
			of = map[string]*count{}
			for _, l := range append(intent.All(), placed) {
				of[l] = &count{}
			}
			t.intents[language] = of
		}
		of[m.Label].wanted++
		of[got].got++
		if got == m.Label {
			of[got].right++
		}
		if !in.Unsure {
			of[placed].got++
			if got == m.Label {
				of[placed].right++
			}
		}
	}
}

func (t *tally) optOut(m corpus.Message, out *handoffv1.Classification, score float32, stop bool) {
	for _, language := range []string{"", m.Language} {
		if t.optOuts[language] == nil {
			t.optOuts[language] = &[3]int{}
		}
		t.optOuts[language][0]++
		switch {
		case stop:
			t.optOuts[language][1]++
		case out.GetPossibleOptOut():
			t.optOuts[language][2]++
		}
	}
	if !stop {
		t.miss("%s\t%s\t%.2f %s\t%s", m.Language, m.Label, score, out.GetOptOutBy(), m.Text)
	}
	if m.Label == corpus.WrongNumber {
		t.wrong[0]++
		if stop && out.GetWrongNumber() {
			t.wrong[1]++
		}
	}
}

// write writes the figures.
func (t *tally) write(out io.Writer, of string) error {
	fmt.Fprintf(out, "\n%s:\n", of)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	languages := []string{""}
	for _, l := range corpus.Languages() {
		if t.intents[l] != nil || t.optOuts[l] != nil {
			languages = append(languages, l)
		}
	}
	row := func(name string, cell func(language string) string) {
		fmt.Fprint(w, name)
		for _, l := range languages {
			fmt.Fprint(w, "\t", cell(l))
		}
		fmt.Fprintln(w)
	}
	row("", func(l string) string { return strings.TrimSpace(l + " ") })
	ofIntents := func(cell func(of map[string]*count) string) func(string) string {
		return func(l string) string {
			if t.intents[l] == nil {
				return "-"
			}
			return cell(t.intents[l])
		}
	}
	if len(t.intents) > 0 {
		row("macro-F1 of intents", ofIntents(func(of map[string]*count) string { return fmt.Sprintf("%.1f", macroF1(of)) }))
		row("left unsure, %", ofIntents(func(of map[string]*count) string { return fmt.Sprintf("%.0f", unsure(of)) }))
		row("right of the rest, %", ofIntents(func(of map[string]*count) string {
			return fmt.Sprintf("%.0f", percent(of[placed].right, of[placed].got))
		}))
	}
	if len(t.optOuts) > 0 {
		row("opt-outs taken, %", func(l string) string { return share(t.optOuts[l], 1) })
		row("possible besides, %", func(l string) string { return share(t.optOuts[l], 2) })
		row("opt-outs", func(l string) string { return share(t.optOuts[l], 0) })
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if all := t.intents[""]; all != nil {
		for _, l := range intent.All() {
			fmt.Fprintf(out, "%s %.0f  ", l, 100*f1(all[l].right, all[l].wanted, all[l].got))
		}
		fmt.Fprintln(out)
	}
	if t.wrong[0] > 0 {
		fmt.Fprintf(out, "wrong numbers known as such: %d of %d\n", t.wrong[1], t.wrong[0])
	}
	_, err := fmt.Fprintf(out, "of %d messages that do not opt out %d are taken (%.0f a million), %d possible, %d keywords\n",
		t.others, t.taken, 1e6*float64(t.taken)/float64(max(t.others, 1)), t.possibly, t.keyword)
	return err
}

func share(n *[3]int, of int) string {
	switch {
	case n == nil:
		return "-"
	case of == 0:
		return fmt.Sprint(n[0])
	}
	return fmt.Sprintf("%.0f", percent(n[of], n[0]))
}

func macroF1(of map[string]*count) float64 {
	var sum float64
	n := 0
	for label, c := range of {
		if label != placed && c.wanted > 0 {
			sum += f1(c.right, c.wanted, c.got)
			n++
		}
	}
	return 100 * sum / float64(max(n, 1))
}

func unsure(of map[string]*count) float64 {
	all := 0
	for _, c := range of {
		all += c.wanted
	}
	return percent(all-of[placed].got, all)
}
