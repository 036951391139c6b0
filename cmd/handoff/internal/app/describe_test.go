package app

import (
	"encoding/xml"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/config"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/topology"
	"github.com/handoff-dev/handoff/schemas"
)

func described(t *testing.T) *topology.Topology {
	t.Helper()
	cfg, err := config.Load("", nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := a.Describe()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDescribe: the topology has every topic of the catalogue, written and read, every stage, and no
// flow from or to what is not there.
func TestDescribe(t *testing.T) {
	d := described(t)
	known := func(names []string, what string) {
		if len(names) == 0 {
			t.Errorf("nobody %s", what)
		}
		for _, name := range names {
			if !slices.ContainsFunc(d.Nodes, func(n topology.Node) bool { return n.Name == name }) {
				t.Errorf("%s, who is no node, %s", name, what)
			}
		}
	}
	flows := map[string]bool{}
	for _, f := range d.Flows {
		flows[f.Via] = true
		known(f.From, "writes "+f.Via)
		known(f.To, "reads "+f.Via)
	}
	for _, topic := range schemas.Topics(1) {
		if !flows[topic.Name] {
			t.Errorf("%s is in the catalogue and not in the topology", topic.Name)
		}
	}
	for _, f := range d.Flows {
		if f.Way != topology.Direct && !slices.ContainsFunc(schemas.Topics(1), func(c schemas.Topic) bool { return c.Name == f.Via }) {
			t.Errorf("%s is in the topology and not in the catalogue", f.Via)
		}
	}
	known(StageNames(), "is a stage")
}

// TestMailboxesAreReadAsWritten: what is posted to a mailbox is read there, and what is read there is
// posted by somebody.
func TestMailboxesAreReadAsWritten(t *testing.T) {
	contracts, err := Contracts()
	if err != nil {
		t.Fatal(err)
	}
	reads := map[string][]string{schemas.TopicAnalytics: {"fact"}, schemas.TopicPlatform: {"fact"}}
	for name, c := range contracts {
		reads[schemas.Mailbox(name)] = c.Reads
	}
	posted := map[string][]string{}
	for _, f := range described(t).Flows {
		if f.Way != topology.Records {
			continue
		}
		posted[f.Via] = append(posted[f.Via], f.Carries...)
		for _, b := range f.Carries {
			if !slices.Contains(reads[f.Via], b) && b != "replayed records" && b != "fire_timer" { // every stage takes these
				t.Errorf("%v post %s to %s, where nobody reads it", f.From, b, f.Via)
			}
		}
	}
	for topic, bodies := range reads {
		for _, b := range bodies {
			if !slices.Contains(posted[topic], b) {
				t.Errorf("%s is read from %s, where nobody posts it", b, topic)
			}
		}
	}
}

// written is a piece of text or a box of the picture; texts by their estimated size.
type written struct {
	text                     string
	left, top, right, bottom float64
}

func (a written) overlaps(b written) bool {
	return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

// TestPictureIsReadable: no label of the real topology's picture covers another, or a box.
func TestPictureIsReadable(t *testing.T) {
	var b strings.Builder
	if err := described(t).Write(&b, "svg"); err != nil {
		t.Fatal(err)
	}
	var picture struct {
		ViewBox string `xml:"viewBox,attr"`
		Texts   []struct {
			Class string  `xml:"class,attr"`
			X     float64 `xml:"x,attr"`
			Y     float64 `xml:"y,attr"`
			Text  string  `xml:",chardata"`
		} `xml:"text"`
		Boxes []struct {
			Class  string  `xml:"class,attr"`
			X      float64 `xml:"x,attr"`
			Y      float64 `xml:"y,attr"`
			Width  float64 `xml:"width,attr"`
			Height float64 `xml:"height,attr"`
		} `xml:"rect"`
	}
	if err := xml.Unmarshal([]byte(b.String()), &picture); err != nil {
		t.Fatal(err)
	}
	width, err := strconv.ParseFloat(strings.Fields(picture.ViewBox)[2], 64)
	if err != nil {
		t.Fatal(err)
	}
	var labels, boxes []written
	for _, s := range picture.Texts {
		half := float64(len(s.Text)) * 6 / 2
		switch s.Class {
		case "label":
			labels = append(labels, written{s.Text, s.X - half, s.Y - 9, s.X + half, s.Y + 2})
		case "note":
			if right := s.X + 2*half; right > width {
				t.Errorf("%q ends outside the picture", s.Text)
			}
		}
	}
	for _, r := range picture.Boxes {
		if r.Class != "" {
			boxes = append(boxes, written{r.Class, r.X, r.Y, r.X + r.Width, r.Y + r.Height})
		}
	}
	if len(labels) < 15 || len(boxes) != 9 {
		t.Fatalf("%d labels and %d boxes were found", len(labels), len(boxes))
	}
	for i, l := range labels {
		for _, other := range slices.Concat(labels[i+1:], boxes) {
			if l.overlaps(other) {
				t.Errorf("%q covers %q", l.text, other.text)
			}
		}
	}
}
