package topology

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/schemas"
)

// Sizes of the picture, in pixels.
const (
	boxWidth   = 132 // at least
	boxHeight  = 64
	gap        = 144 // between two boxes: the widest kind of record fits
	margin     = 24
	trackStep  = 34 // between two tracks
	lineHeight = 14
	letter     = 6.1 // width of one in a box, about
)

// picture is the drawing in the making. Nodes of a message's way stand in one row. What goes to the next
// one is a straight arrow; what goes back runs above the row, what goes further on runs below it, each
// on a track of its own; facts run on a line at the bottom.
type picture struct {
	b      strings.Builder
	column map[string]int
	boxes  []box   // of the row
	row    float64 // top of the boxes
	above  []*run
	below  []*run
}

// box is where a node of the row stands.
type box struct {
	Node
	x, width float64
}

// run is an arrow that does not go to the next node.
type run struct {
	from, to int
	carries  []string
	level    int
	out, in  float64 // where it leaves and enters, x
}

// left and right are the columns it spans.
func (r *run) left() int  { return min(r.from, r.to) }
func (r *run) right() int { return max(r.from, r.to) }

// factsTopic is what every stage writes: its reader stands below the row, the store beside that.
const factsTopic = schemas.TopicAnalytics

// svg draws the topology.
func (t *Topology) svg() (string, error) {
	p := &picture{column: map[string]int{}}
	var facts, store Node
	at := float64(margin)
	for _, n := range t.Nodes {
		switch {
		case n.Mailbox == factsTopic:
			facts = n
		case n.Kind == Store:
			store = n
		case n.Kind != Tool:
			p.column[n.Name] = len(p.boxes)
			p.boxes = append(p.boxes, box{n, at, n.width()})
			at += n.width() + gap
		}
	}
	if facts.Name == "" || store.Name == "" {
		return "", fmt.Errorf("draw the topology: there is no reader of %s, or no store", factsTopic)
	}
	straight := p.sort(t.Flows)
	p.above, p.below = levels(p.above), levels(p.below)
	p.row = margin + 48 + trackStep*float64(depth(p.above))
	p.ports()
	firstBelow := p.row + boxHeight + 46 + lowest(straight)
	busY := firstBelow + 4 + trackStep*float64(depth(p.below))
	p.begin(at-gap+margin, busY+30+boxHeight+100)
	p.bus(t, facts, store, busY)
	for _, r := range p.above {
		p.run(r, p.row, p.row-42-trackStep*float64(r.level))
	}
	for _, r := range p.below {
		p.run(r, p.row+boxHeight, firstBelow+trackStep*float64(r.level))
	}
	for _, a := range straight {
		p.straight(a)
	}
	for _, b := range p.boxes {
		p.box(b.x, p.row, b.Node)
	}
	p.legend(t, busY+30+boxHeight+42)
	p.b.WriteString("</svg>\n")
	return p.b.String(), nil
}

// width of a node's box.
func (n Node) width() float64 {
	w := 0
	for _, line := range n.lines() {
		w = max(w, len(line))
	}
	return max(boxWidth, float64(w)*letter+20)
}

// sort puts arrows between nodes of the row where they belong, and returns those to the next node.
func (p *picture) sort(flows []Flow) (straight []arrow) {
	for _, f := range flows {
		if f.Way != Records && f.Way != Direct {
			continue
		}
		for _, a := range f.arrows() {
			from, ok := p.column[a.from]
			to, ok2 := p.column[a.to]
			switch r := (&run{from: from, to: to, carries: a.carries}); {
			case !ok || !ok2 || to == from: // the legend tells of what a stage posts to itself
			case to == from+1:
				straight = append(straight, a)
			case to < from:
				p.above = append(p.above, r)
			default:
				p.below = append(p.below, r)
			}
		}
	}
	return straight
}

// levels gives every run the track nearest to the row that is free over its span: short ones first.
func levels(runs []*run) []*run {
	slices.SortStableFunc(runs, func(a, b *run) int {
		return cmp.Or(cmp.Compare(a.right()-a.left(), b.right()-b.left()), cmp.Compare(a.left(), b.left()))
	})
	for i, r := range runs {
		for again := true; again; {
			again = false
			for _, other := range runs[:i] {
				if other.level == r.level && other.left() < r.right() && r.left() < other.right() {
					r.level++
					again = true
				}
			}
		}
	}
	return runs
}

func depth(runs []*run) int {
	n := 0
	for _, r := range runs {
		n = max(n, r.level+1)
	}
	return n
}

// ports spreads the ends of runs over the sides of their boxes so that they do not cross: to the left
// the nearest track is leftmost, to the right it is rightmost.
func (p *picture) ports() {
	for _, side := range [][]*run{p.above, p.below} {
		for c, b := range p.boxes {
			var ends []*run
			for _, r := range side {
				if r.from == c || r.to == c {
					ends = append(ends, r)
				}
			}
			goesLeft := func(r *run) bool { return r.right() == c }
			slices.SortStableFunc(ends, func(a, b *run) int {
				switch la, lb := goesLeft(a), goesLeft(b); {
				case la && lb:
					return cmp.Compare(a.level, b.level)
				case la != lb && la:
					return -1
				case la != lb:
					return 1
				}
				return cmp.Compare(b.level, a.level)
			})
			for i, r := range ends {
				at := b.x + b.width*float64(i+1)/float64(len(ends)+1)
				if r.from == c {
					r.out = at
				} else {
					r.in = at
				}
			}
		}
	}
}

func (p *picture) begin(width, height float64) {
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="Helvetica,Arial,sans-serif" font-size="13">
  <title>Topology: how a message travels through Handoff</title>
  <defs>
    <marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="#445"/></marker>
    <marker id="f" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="#1e7e34"/></marker>
    <style>
      .stage{fill:#e8f0fe;stroke:#3367d6}.edge{fill:#fef3e0;stroke:#c77700}.outside{fill:#f3f4f6;stroke:#667}.store{fill:#e6f4ea;stroke:#1e7e34}
      rect{stroke-width:1.5}.flow{stroke:#445;stroke-width:1.5;fill:none;marker-end:url(#a)}
      .fact{stroke:#1e7e34;stroke-width:1.3;fill:none;stroke-dasharray:5 4}.factin{stroke:#1e7e34;stroke-width:1.5;fill:none;marker-end:url(#f)}
      text{text-anchor:middle;fill:#123}.name{font-size:16px;font-weight:bold}.topic{font-size:12px;fill:#445}
      .label{font-size:12px;fill:#334;stroke:#fff;stroke-width:4px;paint-order:stroke}.note{font-size:12px;fill:#445;text-anchor:start}
    </style>
  </defs>
  <rect width="%.0f" height="%.0f" fill="#fff" stroke="none"/>
`, width, height, width, height)
}

func (p *picture) text(class string, x, y float64, text string) {
	fmt.Fprintf(&p.b, "  <text class=%q x=\"%.0f\" y=\"%.0f\">%s</text>\n", class, x, y, html.EscapeString(text))
}

// box draws a node; what it reads and its parts stand below its name.
func (p *picture) box(left, top float64, n Node) {
	lines := n.lines()
	height := max(boxHeight, 16+float64(len(lines))*(lineHeight+2))
	top -= (height - boxHeight) / 2
	fmt.Fprintf(&p.b, "  <rect class=%q x=\"%.0f\" y=\"%.0f\" width=\"%.0f\" height=\"%.0f\" rx=\"8\"/>\n", n.Kind, left, top, n.width(), height)
	middle := left + n.width()/2
	first := top + height/2 + 5 - float64(len(lines)-1)*(lineHeight+2)/2
	p.text("name", middle, first, lines[0])
	for i, line := range lines[1:] {
		p.text("topic", middle, first+3+(lineHeight+2)*float64(i+1), line)
	}
}

// over is how many lines of a straight arrow's label stand above it: of many the later half stands below.
func (a arrow) over() int {
	if n := len(a.carries); n <= 3 {
		return n
	}
	return (len(a.carries) + 1) / 2
}

// lowest is by how much the tracks below the row give way to the labels of straight arrows: four lines below one fit.
func lowest(straight []arrow) float64 {
	most := 0
	for _, a := range straight {
		most = max(most, len(a.carries)-a.over())
	}
	return lineHeight * float64(max(most-4, 0))
}

// straight draws an arrow to the next node, its label above and below it.
func (p *picture) straight(a arrow) {
	from, to := p.boxes[p.column[a.from]], p.boxes[p.column[a.to]]
	left, y := from.x+from.width, p.row+boxHeight/2
	fmt.Fprintf(&p.b, "  <path class=\"flow\" d=\"M%.0f %.0fH%.0f\"/>\n", left, y, to.x-2)
	over := a.over()
	for i, line := range a.carries {
		at := y - 7 - lineHeight*float64(over-1-i)
		if i >= over {
			at = y + 17 + lineHeight*float64(i-over)
		}
		p.text("label", (left+to.x)/2-2, at, line)
	}
}

// run draws an arrow on its track.
func (p *picture) run(r *run, side, track float64) {
	end := side - 2
	if track > side {
		end = side + 2
	}
	fmt.Fprintf(&p.b, "  <path class=\"flow\" d=\"M%.0f %.0fV%.0fH%.0fV%.0f\"/>\n", r.out, side, track, r.in, end)
	lines := r.label()
	for i, line := range lines {
		p.text("label", (r.out+r.in)/2, track-7-lineHeight*float64(len(lines)-1-i), line)
	}
}

// label is what an arrow carries, in two lines where one is longer than the arrow.
func (r *run) label() []string {
	whole := strings.Join(r.carries, ", ")
	if float64(len(whole))*letter <= max(r.out-r.in, r.in-r.out) {
		return []string{whole}
	}
	best := []string{whole}
	for i := 1; i < len(r.carries); i++ {
		lines := []string{strings.Join(r.carries[:i], ", ") + ",", strings.Join(r.carries[i:], ", ")}
		if len(best) == 1 || max(len(lines[0]), len(lines[1])) < max(len(best[0]), len(best[1])) {
			best = lines
		}
	}
	return best
}

// bus draws the facts: a line below the row that every writer meets, the stage that reads them, and the
// store behind it.
func (p *picture) bus(t *Topology, facts, store Node, y float64) {
	reader := p.boxes[len(p.boxes)/2-1].x
	first, last := 1e9, 0.0
	for _, f := range t.Flows {
		if f.Via != factsTopic {
			continue
		}
		for _, from := range f.From {
			if c, ok := p.column[from]; ok {
				at := p.boxes[c].x + 10
				fmt.Fprintf(&p.b, "  <path class=\"fact\" d=\"M%.0f %.0fV%.0f\"/>\n", at, p.row+boxHeight, y)
				first, last = min(first, at), max(last, at)
			}
		}
	}
	top, down, right := y+30, reader+facts.width()/2, reader+facts.width()
	fmt.Fprintf(&p.b, "  <path class=\"fact\" d=\"M%.0f %.0fH%.0f\"/>\n", first, y, max(last, down))
	fmt.Fprintf(&p.b, "  <path class=\"factin\" d=\"M%.0f %.0fV%.0f\"/>\n", down, y, top-2)
	p.text("label", down+gap/2+40, y-5, "fact")
	p.box(reader, top, facts)
	fmt.Fprintf(&p.b, "  <path class=\"factin\" d=\"M%.0f %.0fH%.0f\"/>\n", right, top+boxHeight/2, right+gap-2)
	p.text("label", right+gap/2, top+boxHeight/2-7, "rows")
	p.box(right+gap, top, store)
}

// legend says in words what is not drawn.
func (p *picture) legend(t *Topology, y float64) {
	var lines []string
	for _, f := range t.Flows {
		switch f.Way {
		case Table:
			lines = append(lines, fmt.Sprintf("%s, a compacted table: written by %s; read by %s.", f.Via, words(f.From), words(f.To)))
		case DeadLetters:
			lines = append(lines, fmt.Sprintf("%s: %s, from %s; read by %s.", f.Via, strings.Join(f.Carries, ", "), words(f.From), words(f.To)))
		case Records:
			if slices.Equal(f.From, f.To) {
				lines = append(lines, fmt.Sprintf("%s also carries %s, from %s to itself under other keys.", f.Via, words(f.Carries), words(f.From)))
			}
		case Direct, State:
		}
	}
	lines = append(lines, "Every stage (blue) reads one topic, its mailbox, in one consumer group, and keeps its state in Pebble, restored from its changelog.")
	for i, line := range lines {
		p.text("note", margin, y+18*float64(i), line)
	}
}

// words joins names as a sentence has them.
func words(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
