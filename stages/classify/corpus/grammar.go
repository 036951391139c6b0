// Package corpus makes the messages that the shipped model is trained from and judged by: sentences
// grown from the grammars beside it, written for Handoff in eleven languages, messages that people wrote
// for Handoff one by one, and public sets of messages, which stay outside the repository. It reads files and
// gives labelled messages; the same files and seed give the same messages.
//
// A grammar is lines:
//
//	# a comment
//	<order> = order|package        what <order> may stand for; <pre> and <post> go around messages
//	[order_status]                 the label of the lines below; [none es] names their language too
//	where (is|'s) my <order>       a pattern: one of the words in brackets, which nest; brackets may end empty
//	- my <order> is late           a negative one; -- strongly negative, + positive
//	~ any news on my <order>       held back: never trained on, for measuring; before the tone's sign
//
// A file is named for its language.
package corpus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Tone of a message.
type Tone int

// Tones. Unknown is one that nobody judged.
const (
	Unknown Tone = iota
	Neutral
	Positive
	Negative
	StrongNegative
)

// Labels beside the intents.
const (
	// OptOut asks for no more messages, WrongNumber says that someone else is written to.
	OptOut      = "opt_out"
	WrongNumber = "wrong_number"
	// NotOptOut looks like an opt-out and is none; what else it is is not said.
	NotOptOut = "not_opt_out"
	// None is about nothing that a shop knows.
	None = "none"
	// Unlabelled messages are of some intent that is not known.
	Unlabelled = ""
)

// Message is one labelled message.
type Message struct {
	Text, Label, Language string
	Tone                  Tone
	// Family is the pattern it was grown from, by file and line; the file for others.
	Family string
	// Author who wrote it for Handoff; "" where it was grown or is of a public set.
	Author string
	// Held back from training.
	Held bool
	// Natural: written by people who knew nothing of Handoff, from a public set.
	Natural bool
	// OptOutUnknown: whether it opts out is not known.
	OptOutUnknown bool
}

// pattern is one line of a grammar.
type pattern struct {
	text, label, language, family string
	tone                          Tone
	held                          bool
}

// grammar is one file.
type grammar struct {
	language string
	slots    map[string][]string
	patterns []pattern
}

// parse reads a grammar. The error names the line.
func parse(name, document string) (*grammar, error) {
	language, _, _ := strings.Cut(name, ".")
	g := &grammar{language: language, slots: map[string][]string{}}
	label, spoken := "", language
	for n, line := range strings.Split(document, "\n") {
		line = strings.TrimSpace(line)
		bad := func(why string) error { return fmt.Errorf("%s line %d: %s", name, n+1, why) }
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			inside, ok := strings.CutSuffix(line[1:], "]")
			if !ok {
				return nil, bad("the label has no closing bracket")
			}
			label, spoken, _ = strings.Cut(inside, " ")
			if spoken == "" {
				spoken = language
			}
		case line[0] == '<' && strings.Contains(line, "> = "):
			slot, words, _ := strings.Cut(line[1:], "> = ")
			g.slots[slot] = strings.Split(words, "|")
		case label == "":
			return nil, bad("a pattern before the first label")
		default:
			p := pattern{label: label, language: spoken, family: fmt.Sprintf("%s:%d", name, n+1)}
			p.take(line)
			if err := g.check(p.text); err != nil {
				return nil, bad(err.Error())
			}
			g.patterns = append(g.patterns, p)
		}
	}
	return g, nil
}

// take reads the signs before a pattern, and its text. Where a line has no sign of its tone, the label
// tells it, or nobody knows.
func (p *pattern) take(line string) {
	line, p.held = strings.CutPrefix(line, "~")
	switch p.label {
	case "order_status", "product_question", "greeting", "other", "spam", "cancel_order", None:
		p.tone = Neutral
	}
	for _, sign := range []struct {
		sign string
		tone Tone
	}{{"--", StrongNegative}, {"-", Negative}, {"+", Positive}} {
		if rest, ok := strings.CutPrefix(line, sign.sign); ok {
			line, p.tone = rest, sign.tone
			break
		}
	}
	p.text = strings.TrimSpace(line)
}

// check tells what is wrong with a pattern: brackets that do not match, slots that the grammar lacks.
func (g *grammar) check(text string) error {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return fmt.Errorf("a bracket closes that was not opened")
			}
		case '<':
			name, _, ok := strings.Cut(text[i+1:], ">")
			if !ok || g.slots[name] == nil {
				return fmt.Errorf("there is no <%s>", name)
			}
		}
	}
	if depth != 0 {
		return fmt.Errorf("a bracket is not closed")
	}
	return nil
}

// grow writes one sentence of a pattern.
func (g *grammar) grow(text string, r *rand.Rand) string {
	var out strings.Builder
	g.choose(&out, text, r)
	return strings.Join(strings.Fields(out.String()), " ")
}

// choose writes a pattern with one of its choices in each place.
func (g *grammar) choose(out *strings.Builder, text string, r *rand.Rand) {
	for i := 0; i < len(text); {
		switch text[i] {
		case '(':
			choices, end := choicesAt(text, i)
			g.choose(out, choices[r.IntN(len(choices))], r)
			i = end
		case '<':
			name, _, _ := strings.Cut(text[i+1:], ">")
			words := g.slots[name]
			g.choose(out, words[r.IntN(len(words))], r)
			i += len(name) + 2
		default:
			out.WriteByte(text[i])
			i++
		}
	}
}

// choicesAt returns the choices of the bracket at text[i], and where it ends.
func choicesAt(text string, i int) (choices []string, end int) {
	depth, from := 0, i+1
	for k := i; ; k++ {
		switch text[k] {
		case '(':
			depth++
		case '|':
			if depth == 1 {
				choices = append(choices, text[from:k])
				from = k + 1
			}
		case ')':
			if depth--; depth == 0 {
				return append(choices, text[from:k]), k + 1
			}
		}
	}
}

// sentences grows up to n different messages of each pattern, as people would type them.
func (g *grammar) sentences(n int, r *rand.Rand) []Message {
	var out []Message
	for _, p := range g.patterns {
		var seen []string
		for range 2 * n {
			text := g.typed(g.grow(p.text, r), p, r)
			if len(seen) == n {
				break
			}
			if slices.Contains(seen, text) {
				continue
			}
			seen = append(seen, text)
			out = append(out, Message{Text: text, Label: p.label, Language: p.language, Tone: p.tone, Family: p.family, Held: p.held})
		}
	}
	return out
}
