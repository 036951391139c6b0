// Package topology describes what reads and writes what, and prints it as a table, as JSON, and as a
// picture in three languages: SVG, Graphviz and Mermaid.
package topology

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Kind of a Node.
type Kind string

// Kinds of nodes.
const (
	// Stage is a stage of ours: one mailbox, one consumer group.
	Stage Kind = "stage"
	// Edge is where Handoff meets the outside over HTTP.
	Edge Kind = "edge"
	// Outside is what is not Handoff.
	Outside Kind = "outside"
	// Store keeps what happened.
	Store Kind = "store"
	// Tool is a command that people run.
	Tool Kind = "tool"
)

// Node is something that reads or writes.
type Node struct {
	// Name, unique.
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	// Mailbox it reads; "" for none.
	Mailbox string `json:"mailbox,omitempty"`
	// Changelog its state is kept in; "" for none.
	Changelog string `json:"changelog,omitempty"`
	// Parts of it, e.g. the connectors of the outside.
	Parts []string `json:"parts,omitempty"`
}

// Way is how something goes from one node to another.
type Way string

// Ways.
const (
	// Records go through a mailbox.
	Records Way = "records"
	// Table is a compacted topic that is read as a whole.
	Table Way = "table"
	// DeadLetters are for people.
	DeadLetters Way = "dead letters"
	// State is a changelog: read only by who wrote it.
	State Way = "state"
	// Direct is anything but Kafka: HTTP, memory, SQL.
	Direct Way = "direct"
)

// Flow is one thing that goes from some nodes to some others.
type Flow struct {
	Way Way `json:"way"`
	// Via is the topic; for Direct what it is.
	Via string `json:"via"`
	// From and To are names of nodes.
	From []string `json:"from"`
	To   []string `json:"to"`
	// Carries are the kinds of record.
	Carries []string `json:"carries"`
}

// Topology is all of it: nodes in the order of a message's way, and what flows between them.
type Topology struct {
	Nodes []Node `json:"nodes"`
	Flows []Flow `json:"flows"`
}

// Node returns the node of that name.
func (t *Topology) Node(name string) (Node, bool) {
	for _, n := range t.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return Node{}, false
}

// Formats are the names that Write knows.
func Formats() []string { return []string{"table", "json", "dot", "mermaid", "svg"} }

// Write prints the topology in one of Formats.
func (t *Topology) Write(out io.Writer, format string) error {
	switch format {
	case "table":
		return t.table(out)
	case "json":
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(t)
	case "dot":
		return write(out, t.dot())
	case "mermaid":
		return write(out, t.mermaid())
	case "svg":
		text, err := t.svg()
		if err != nil {
			return err
		}
		return write(out, text)
	}
	return fmt.Errorf("format %q is not known; use one of %s", format, strings.Join(Formats(), ", "))
}

func write(out io.Writer, text string) error {
	_, err := io.WriteString(out, text)
	return err
}

func (t *Topology) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "FROM\tTHROUGH\tWHAT\tREAD BY")
	for _, f := range t.Flows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", strings.Join(f.From, ", "), f.Via, strings.Join(f.Carries, ", "), strings.Join(f.To, ", "))
	}
	return w.Flush()
}

// arrow is one pair of nodes of a flow.
type arrow struct {
	from, to string
	carries  []string
}

// arrows lists every pair of the flow.
func (f Flow) arrows() []arrow {
	var all []arrow
	for _, from := range f.From {
		for _, to := range f.To {
			all = append(all, arrow{from, to, f.Carries})
		}
	}
	return all
}

// dot writes Graphviz.
func (t *Topology) dot() string {
	var b strings.Builder
	b.WriteString("digraph handoff {\n  rankdir=LR;\n  node [fontname=\"Helvetica\", style=filled, shape=box];\n  edge [fontname=\"Helvetica\", fontsize=10];\n")
	for _, n := range t.Nodes {
		color := map[Kind]string{Stage: "#e8f0fe", Edge: "#fef3e0", Outside: "#f3f4f6", Store: "#e6f4ea", Tool: "#ffffff"}[n.Kind]
		fmt.Fprintf(&b, "  %q [label=%q, fillcolor=%q];\n", n.Name, strings.Join(n.lines(), "\n"), color)
	}
	for _, f := range t.Flows {
		if f.Way == Table || f.Way == DeadLetters {
			fmt.Fprintf(&b, "  %q [shape=cylinder, fillcolor=\"#ffffff\"];\n", f.Via)
		}
	}
	for _, f := range t.Flows {
		switch f.Way {
		case State:
		case Table, DeadLetters:
			for _, from := range f.From {
				fmt.Fprintf(&b, "  %q -> %q [style=dashed, color=\"#8899aa\"];\n", from, f.Via)
			}
			for _, to := range f.To {
				fmt.Fprintf(&b, "  %q -> %q [style=dashed, color=\"#8899aa\"];\n", f.Via, to)
			}
		case Records, Direct:
			for _, a := range f.arrows() {
				fmt.Fprintf(&b, "  %q -> %q [label=%q];\n", a.from, a.to, strings.Join(f.Carries, "\n"))
			}
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// mermaid writes a flowchart; names are quoted, ids made of letters alone.
func (t *Topology) mermaid() string {
	id := func(name string) string {
		return strings.NewReplacer(" ", "_", ".", "_", "-", "_").Replace(name)
	}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, n := range t.Nodes {
		fmt.Fprintf(&b, "  %s[\"%s\"]:::%s\n", id(n.Name), strings.Join(n.lines(), "<br/>"), n.Kind)
	}
	for _, f := range t.Flows {
		if f.Way == Table || f.Way == DeadLetters {
			fmt.Fprintf(&b, "  %s[(\"%s\")]\n", id(f.Via), f.Via)
		}
	}
	for _, f := range t.Flows {
		switch f.Way {
		case State:
		case Table, DeadLetters:
			for _, from := range f.From {
				fmt.Fprintf(&b, "  %s -.-> %s\n", id(from), id(f.Via))
			}
			for _, to := range f.To {
				fmt.Fprintf(&b, "  %s -.-> %s\n", id(f.Via), id(to))
			}
		case Records, Direct:
			for _, a := range f.arrows() {
				fmt.Fprintf(&b, "  %s -->|\"%s\"| %s\n", id(a.from), strings.Join(f.Carries, "<br/>"), id(a.to))
			}
		}
	}
	b.WriteString("  classDef stage fill:#e8f0fe,stroke:#3367d6\n  classDef edge fill:#fef3e0,stroke:#c77700\n" +
		"  classDef outside fill:#f3f4f6,stroke:#667\n  classDef store fill:#e6f4ea,stroke:#1e7e34\n  classDef tool fill:#fff,stroke:#889\n")
	return b.String()
}

// lines is what stands in a node's box.
func (n Node) lines() []string {
	lines := []string{n.Name}
	if n.Mailbox != "" {
		lines = append(lines, n.Mailbox)
	}
	return append(lines, n.Parts...)
}
