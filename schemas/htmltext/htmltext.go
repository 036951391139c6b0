// Package htmltext turns what people write in a help desk into the text that a
// phone can show: HTML becomes plain lines, signatures and quoted history are
// cut. It reads bytes that others wrote, so every input is valid input: no
// function of this package fails or panics.
package htmltext

import (
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Reply gives the words that an agent wrote in one message. markup is the
// message as HTML and plain the same message as text; either may be empty.
// HTML wins where both are present, because desks derive their text from it.
// Signatures and quoted history are cut. What is only set as a quotation, and
// nothing says whose words or which mail it is, is the agent's own choice: a
// message that holds nothing else gives those words. A message without words
// of its own gives "".
func Reply(markup, plain string) string {
	if strings.TrimSpace(markup) == "" {
		return cutOrKeep(normalise(plain))
	}
	if own := CutQuoted(render(markup, cutAll)); own != "" {
		return own
	}
	return cutOrKeep(render(markup, cutMarked))
}

// Pictures gives the addresses of the images that an agent put among the words
// of a message as HTML, in order and each once, without those that the desk
// lists as its attachments. What Reply cuts has none, and ten are the most.
func Pictures(markup string, listed []string) []string {
	w := walk(markup, cutAll)
	if w == nil {
		return nil
	}
	var own []string
	for _, p := range w.shown {
		if slices.Contains(own, p.address) || slices.Contains(listed, p.address) {
			continue
		}
		if len(own) == mostPictures || !ownGoesOn(w.out.String()[:p.at]) {
			break
		}
		own = append(own, p.address)
	}
	return own
}

// mostPictures is how many media a text message may have at Twilio.
const mostPictures = 10

// FromHTML gives all words of an HTML fragment as plain text, quoted parts
// included: blocks end a line, list items begin with "- " or their number,
// links show their target where the words do not, markup that no reader sees
// (scripts, styles, hidden elements) is left out. White space is folded as a
// browser does, except inside pre.
func FromHTML(markup string) string { return render(markup, cutNothing) }

// cutOrKeep cuts signature and history, and keeps quoted words where nothing
// else is left.
func cutOrKeep(text string) string {
	if own := CutQuoted(text); own != "" {
		return own
	}
	return cutFrom(text, true)
}

// cut says what of a message a rendering leaves out.
type cut uint8

const (
	cutNothing cut = iota
	cutMarked      // what is marked as a signature or history
	cutAll         // quotations too
)

func render(markup string, cut cut) string {
	w := walk(markup, cut)
	if w == nil { // keep the words
		return normalise(stripTags(markup))
	}
	return normalise(w.out.String())
}

// walk reads markup; nil where it is nested deeper than the parser allows.
func walk(markup string, cut cut) *writer {
	body := &html.Node{Type: html.ElementNode, Data: "body", DataAtom: atom.Body}
	nodes, err := html.ParseFragment(strings.NewReader(markup), body)
	if err != nil {
		return nil
	}
	w := &writer{cut: cut}
	for _, n := range nodes {
		if w.ended {
			break
		}
		w.node(n)
	}
	return w
}

// stripTags gives the text tokens of markup without building a tree.
func stripTags(markup string) string {
	var out strings.Builder
	hidden := 0
	z := html.NewTokenizer(strings.NewReader(markup))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return out.String()
		case html.TextToken:
			if hidden == 0 {
				out.Write(z.Text())
			}
		case html.StartTagToken:
			if invisible(z.Token().DataAtom) {
				hidden++
			}
			out.WriteByte(' ')
		case html.EndTagToken:
			if invisible(z.Token().DataAtom) && hidden > 0 {
				hidden--
			}
			out.WriteByte(' ')
		default: // comments, doctypes and self-closing tags hold no words
		}
	}
}

func invisible(a atom.Atom) bool {
	switch a {
	case atom.Script, atom.Style, atom.Head, atom.Title, atom.Template, atom.Noscript,
		atom.Iframe, atom.Object, atom.Svg, atom.Math, atom.Select, atom.Textarea:
		return true
	default:
		return false
	}
}

// normalise folds line endings, no-break and zero-width spaces, trailing
// blanks and runs of empty lines.
func normalise(text string) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u00a0", " ", "\u202f", " ",
		"\u200b", "", "\ufeff", "", "\u2060", "", "\x00", "").Replace(strings.ToValidUTF8(text, "\uFFFD"))
	lines := strings.Split(text, "\n")
	kept := lines[:0]
	blank := 0
	for _, line := range lines {
		line = strings.TrimRight(line, " \t")
		if line == "" {
			blank++
			continue
		}
		if blank > 0 && len(kept) > 0 {
			kept = append(kept, "")
		}
		blank = 0
		kept = append(kept, line)
	}
	return strings.TrimSpace(strings.Join(kept, "\n"))
}
