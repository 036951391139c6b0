package htmltext

import (
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// writer walks a parsed tree and collects its text. The parser bounds the
// depth of a tree (512), so the walk may recurse.
type writer struct {
	out   strings.Builder
	cut   cut  // what is left out
	ended bool // cut, and history began: nothing after it counts
	pre   int  // depth of elements that keep white space
	lists []int
	gap   bool // a folded space is due before the next word
	line  bool // the current line holds something
	shown []shown
}

// shown is a picture among the words.
type shown struct {
	address string
	at      int // so much of out is before it
}

func (w *writer) node(n *html.Node) {
	switch n.Type {
	case html.TextNode:
		w.text(n.Data)
	case html.ElementNode:
		w.element(n)
	case html.DocumentNode:
		w.children(n)
	default: // comments and doctypes hold no words
	}
}

func (w *writer) children(n *html.Node) {
	for c := n.FirstChild; c != nil && !w.ended; c = c.NextSibling {
		w.node(c)
	}
}

func (w *writer) element(n *html.Node) {
	if invisible(n.DataAtom) || hidden(n) {
		return
	}
	if w.cut != cutNothing {
		if startsHistory(n) {
			w.ended = true
			return
		}
		if marked(n) || w.cut == cutAll && n.DataAtom == atom.Blockquote {
			w.newline()
			return
		}
	}
	switch n.DataAtom {
	case atom.Br:
		w.out.WriteByte('\n')
		w.gap, w.line = false, false
	case atom.Hr:
		w.newline()
	case atom.Img:
		w.text(attr(n, "alt"))
		if address := picture(n); address != "" {
			w.shown = append(w.shown, shown{address, w.out.Len()})
		}
	case atom.A:
		w.link(n)
	case atom.Ul, atom.Ol:
		w.list(n)
	case atom.Li:
		w.item(n)
	case atom.Td, atom.Th:
		w.children(n)
		w.gap = w.line
	case atom.Pre:
		w.newline()
		w.pre++
		w.children(n)
		w.pre--
		w.newline()
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Blockquote, atom.Table:
		w.paragraph(n)
	case atom.Div, atom.Tr, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Address,
		atom.Dl, atom.Dt, atom.Dd, atom.Figure, atom.Figcaption, atom.Form, atom.Fieldset, atom.Center,
		atom.Main, atom.Nav, atom.Aside, atom.Details, atom.Summary, atom.Body, atom.Html:
		w.newline()
		w.children(n)
		w.newline()
	default:
		w.children(n)
	}
}

// paragraph sets a block off by empty lines.
func (w *writer) paragraph(n *html.Node) {
	w.newline()
	w.out.WriteByte('\n')
	w.children(n)
	w.newline()
	w.out.WriteByte('\n')
}

func (w *writer) list(n *html.Node) {
	next := 0 // 0: bullets
	if n.DataAtom == atom.Ol {
		next = 1
		if start, err := strconv.Atoi(attr(n, "start")); err == nil && start > 0 {
			next = start
		}
	}
	w.newline()
	w.lists = append(w.lists, next)
	w.children(n)
	w.lists = w.lists[:len(w.lists)-1]
	w.newline()
}

func (w *writer) item(n *html.Node) {
	w.newline()
	mark := "- "
	if depth := len(w.lists); depth > 0 && w.lists[depth-1] > 0 {
		mark = strconv.Itoa(w.lists[depth-1]) + ". "
		w.lists[depth-1]++
	}
	w.out.WriteString(mark)
	w.children(n)
	w.newline()
}

// link writes the words of a link, and its target where the words do not tell.
func (w *writer) link(n *html.Node) {
	before := w.out.Len()
	w.children(n)
	words := strings.TrimSpace(w.out.String()[before:])
	target := strings.TrimSpace(attr(n, "href"))
	scheme, rest, ok := strings.Cut(target, ":")
	switch strings.ToLower(scheme) {
	case "http", "https":
	case "mailto", "tel":
		target = rest
	default:
		ok = false
	}
	if !ok || w.ended || bare(words) == bare(target) {
		return
	}
	if words == "" {
		w.text(target)
		return
	}
	after := w.gap // a space at the end of the link's words
	w.gap = true
	w.text("(" + target + ")")
	w.gap = after
}

// picture gives the address of an image that others can fetch. An emoji, which its words show, and a pixel that
// counts readers are none.
func picture(n *html.Node) string {
	address := strings.TrimSpace(attr(n, "src"))
	scheme, _, _ := strings.Cut(strings.ToLower(address), "://")
	words := attr(n, "alt")
	switch {
	case scheme != "https" && scheme != "http":
		return ""
	case words != "" && !strings.ContainsFunc(words, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }):
		return ""
	case attr(n, "width") == "1" || attr(n, "height") == "1":
		return ""
	}
	return address
}

func bare(s string) string {
	s = strings.ToLower(s)
	for _, prefix := range []string{"mailto:", "tel:", "https://", "http://", "www."} {
		s = strings.TrimPrefix(s, prefix)
	}
	return strings.TrimRight(s, "/")
}

func (w *writer) text(s string) {
	if w.pre > 0 {
		w.out.WriteString(s)
		w.line = w.line || s != ""
		return
	}
	for _, r := range s {
		switch r {
		case ' ', '\t', '\n', '\r', '\f':
			w.gap = w.line
		default:
			if w.gap {
				w.out.WriteByte(' ')
				w.gap = false
			}
			w.out.WriteRune(r)
			w.line = true
		}
	}
}

// newline ends the current line if anything stands on it.
func (w *writer) newline() {
	if w.line {
		w.out.WriteByte('\n')
	}
	w.gap, w.line = false, false
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hidden(n *html.Node) bool {
	for _, a := range n.Attr {
		if a.Key == "hidden" {
			return true
		}
	}
	style := strings.ToLower(strings.ReplaceAll(attr(n, "style"), " ", ""))
	return strings.Contains(style, "display:none") || strings.Contains(style, "mso-hide:all")
}
