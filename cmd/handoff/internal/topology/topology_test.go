package topology

import (
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/handoff-dev/handoff/schemas"
)

// small has a flow of every way and direction.
func small() *Topology {
	return &Topology{
		Nodes: []Node{
			{Name: "in", Kind: Edge},
			{Name: "a", Kind: Stage, Mailbox: "handoff.a", Changelog: "handoff.a.changelog"},
			{Name: "b", Kind: Stage, Mailbox: "handoff.b", Changelog: "handoff.b.changelog"},
			{Name: "analytics", Kind: Stage, Mailbox: schemas.TopicAnalytics},
			{Name: "store", Kind: Store, Parts: []string{"rows & <more>"}},
			{Name: "tool x", Kind: Tool},
		},
		Flows: []Flow{
			{Way: Records, Via: "handoff.a", From: []string{"in"}, To: []string{"a"}, Carries: []string{"one", "two"}},
			{Way: Records, Via: "handoff.b", From: []string{"in", "a"}, To: []string{"b"}, Carries: []string{"three"}},
			{Way: Records, Via: "handoff.a", From: []string{"b"}, To: []string{"a"}, Carries: []string{"four"}},
			{Way: Records, Via: schemas.TopicAnalytics, From: []string{"a", "b"}, To: []string{"analytics"}, Carries: []string{"fact"}},
			{Way: Direct, Via: "SQL", From: []string{"analytics"}, To: []string{"store"}, Carries: []string{"rows"}},
			{Way: Table, Via: "handoff.t", From: []string{"tool x"}, To: []string{"a", "b"}, Carries: []string{"lines"}},
			{Way: State, Via: "handoff.a.changelog", From: []string{"a"}, To: []string{"a"}, Carries: []string{"state"}},
		},
	}
}

func text(t *testing.T, format string) string {
	t.Helper()
	var b strings.Builder
	if err := small().Write(&b, format); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTable(t *testing.T) {
	want := `FROM       THROUGH              WHAT      READ BY
in         handoff.a            one, two  a
in, a      handoff.b            three     b
b          handoff.a            four      a
a, b       handoff.analytics    fact      analytics
analytics  SQL                  rows      store
tool x     handoff.t            lines     a, b
a          handoff.a.changelog  state     a
`
	if diff := cmp.Diff(want, text(t, "table")); diff != "" {
		t.Error(diff)
	}
}

func TestJSON(t *testing.T) {
	var back Topology
	if err := json.Unmarshal([]byte(text(t, "json")), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(small(), &back); diff != "" {
		t.Error(diff)
	}
}

func TestDot(t *testing.T) {
	got := text(t, "dot")
	for _, want := range []string{
		`"in" -> "a" [label="one\ntwo"];`, `"a" -> "b" [label="three"];`, `"b" -> "a" [label="four"];`,
		`"tool x" -> "handoff.t" [style=dashed`, `"handoff.t" -> "b" [style=dashed`, `"store" [label="store\nrows & <more>"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "changelog") {
		t.Error("changelogs are drawn")
	}
}

func TestMermaid(t *testing.T) {
	got := text(t, "mermaid")
	for _, want := range []string{
		"flowchart LR\n", `in -->|"one<br/>two"| a`, `b -->|"four"| a`, `tool_x["tool x"]:::tool`, `tool_x -.-> handoff_t`, `handoff_t[("handoff.t")]`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// TestSVG: it is well-formed, and names every node and everything that flows.
func TestSVG(t *testing.T) {
	got := text(t, "svg")
	d := xml.NewDecoder(strings.NewReader(got))
	var said []string
	arrows := 0
	for {
		token, err := d.Token()
		if token == nil {
			if err.Error() != "EOF" {
				t.Fatal(err)
			}
			break
		}
		switch token := token.(type) {
		case xml.CharData:
			said = append(said, string(token))
		case xml.StartElement:
			for _, a := range token.Attr {
				if token.Name.Local == "path" && a.Name.Local == "class" && (a.Value == "flow" || a.Value == "factin") {
					arrows++
				}
			}
		}
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{"\nin\n", "\na\n", "\nhandoff.b\n", "\nanalytics\n", "\nrows & <more>\n", "\none\n", "\nthree\n", "\nfour\n", "\nfact\n", "handoff.t, a compacted table: written by tool x; read by a and b."} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if strings.Contains(got, "to itself") {
		t.Error("nothing flows from a node to itself here")
	}
	if arrows != 6 { // four of records (one twice, from two nodes), facts, rows
		t.Errorf("%d arrows, want 6", arrows)
	}
}

func TestWriteRefuses(t *testing.T) {
	if err := small().Write(&strings.Builder{}, "png"); err == nil || !strings.Contains(err.Error(), "table, json, dot, mermaid, svg") {
		t.Errorf("an unknown format: %v", err)
	}
	if err := (&Topology{}).Write(&strings.Builder{}, "svg"); err == nil {
		t.Error("a topology without what the picture needs was drawn")
	}
}
