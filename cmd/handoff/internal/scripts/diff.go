package scripts

import (
	"fmt"
	"strings"

	"github.com/handoff-dev/handoff/pipeline/script"
)

// shown is how many lines that are the same stand around a difference.
const shown = 3

// Colours of a terminal.
const (
	red   = "\x1b[31m"
	green = "\x1b[32m"
	cyan  = "\x1b[36m"
	plain = "\x1b[0m"
)

// edit is one line of a difference: ' ' the same, '-' expected only, '+' happened only.
type edit struct {
	op       byte
	line     string
	old, now int // line numbers on both sides, from 1, before this line
}

// difference is a unified diff between a script as written and as it happened. Each part names the
// command it begins in.
func difference(f *script.File, written, happened []byte, colour bool) string {
	var b strings.Builder
	paint := func(code, line string) {
		if colour {
			line = code + line + plain
		}
		b.WriteString(line + "\n")
	}
	paint(red, "--- "+f.Name+" (expected)")
	paint(green, "+++ "+f.Name+" (happened)")
	edits := align(split(written), split(happened))
	for from := 0; from < len(edits); {
		if edits[from].op == ' ' {
			from++
			continue
		}
		begin, end := max(0, from-shown), hunkEnd(edits, from)
		part := edits[begin:end]
		paint(cyan, fmt.Sprintf("@@ -%s +%s @@ %s", span(part, '+'), span(part, '-'), commandAt(f, edits[from].old)))
		for _, e := range part {
			switch e.op {
			case '-':
				paint(red, "-"+e.line)
			case '+':
				paint(green, "+"+e.line)
			default:
				b.WriteString(" " + e.line + "\n")
			}
		}
		from = end
	}
	return b.String()
}

func split(text []byte) []string {
	return strings.Split(strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n"), "\n")
}

// hunkEnd is where a part ends that begins at a difference: after the lines shown behind its last one,
// parts whose surroundings would meet are one.
func hunkEnd(edits []edit, from int) int {
	last := from
	for i := from; i < len(edits) && i <= last+2*shown; i++ {
		if edits[i].op != ' ' {
			last = i
		}
	}
	return min(len(edits), last+1+shown)
}

// span is "line,count" of one side of a part; the other side's lines, not, do not count.
func span(part []edit, not byte) string {
	n := 0
	for _, e := range part {
		if e.op != not {
			n++
		}
	}
	first := part[0].old
	if not == '-' {
		first = part[0].now
	}
	if n == 0 {
		first--
	}
	return fmt.Sprintf("%d,%d", first, n)
}

// commandAt is the command in whose step a line of the file stands, in few words.
func commandAt(f *script.File, line int) string {
	said := ""
	for _, s := range f.Steps {
		if s.Line > line {
			break
		}
		said = s.Name
		if text, _, _ := strings.Cut(s.Input, "\n"); text != "" {
			said += ": " + text
		}
	}
	return said
}

// align finds a shortest way from a to b by the lines both have, in order. Scripts are small: a table
// of all pairs of lines that remain after the common beginning and end.
func align(a, b []string) []edit {
	begin := 0
	for begin < len(a) && begin < len(b) && a[begin] == b[begin] {
		begin++
	}
	end := 0
	for end < len(a)-begin && end < len(b)-begin && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	x, y := a[begin:len(a)-end], b[begin:len(b)-end]
	common := make([][]int32, len(x)+1) // common lines of x[i:] and y[j:]
	for i := range common {
		common[i] = make([]int32, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var edits []edit
	i, j := 0, 0
	add := func(op byte, line string) {
		edits = append(edits, edit{op, line, i + 1, j + 1})
		if op != '+' {
			i++
		}
		if op != '-' {
			j++
		}
	}
	for _, line := range a[:begin] {
		add(' ', line)
	}
	for i-begin < len(x) || j-begin < len(y) {
		p, q := i-begin, j-begin
		switch {
		case p < len(x) && q < len(y) && x[p] == y[q]:
			add(' ', x[p])
		case q == len(y) || p < len(x) && common[p+1][q] >= common[p][q+1]:
			add('-', x[p])
		default:
			add('+', y[q])
		}
	}
	for _, line := range a[len(a)-end:] {
		add(' ', line)
	}
	return edits
}
