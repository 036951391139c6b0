// Package access says what each process and each command must be allowed to do on Kafka, and prints it as
// a table or as the commands of Kafka's own tool that allow it.
package access

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Kind of resource, as kafka-acls.sh calls it.
type Kind string

// Kinds of resources.
const (
	Topic           Kind = "topic"
	Group           Kind = "group"
	TransactionalID Kind = "transactional-id"
)

// Operation that Kafka allows, as its tools call it. Read and Write allow Describe too.
type Operation string

// Operations, in the order in which they are printed.
const (
	Read            Operation = "Read"
	Write           Operation = "Write"
	Create          Operation = "Create"
	Describe        Operation = "Describe"
	DescribeConfigs Operation = "DescribeConfigs"
)

func operations() []Operation { return []Operation{Read, Write, Create, Describe, DescribeConfigs} }

// Grant is what is allowed with one resource.
type Grant struct {
	Kind Kind
	Name string
	// Prefix says that it is about every resource whose name begins so.
	Prefix     bool
	Operations []Operation
}

// Role is what some commands need, and nothing else.
type Role struct {
	// Commands as they are typed, without "handoff".
	Commands []string
	// Grants by kind and name.
	Grants []Grant
}

// NewRole returns the role of these commands, which is allowed nothing yet.
func NewRole(commands ...string) *Role { return &Role{Commands: commands} }

// Allow adds operations on a resource.
func (r *Role) Allow(kind Kind, name string, more ...Operation) *Role {
	return r.allow(Grant{Kind: kind, Name: name, Operations: more})
}

// AllowPrefix adds operations on all resources whose names begin so.
func (r *Role) AllowPrefix(kind Kind, name string, more ...Operation) *Role {
	return r.allow(Grant{Kind: kind, Name: name, Prefix: true, Operations: more})
}

// Union is what all of the roles are allowed together.
func Union(roles []Role) *Role {
	all := &Role{}
	for _, r := range roles {
		all.Commands = append(all.Commands, r.Commands...)
		for _, g := range r.Grants {
			all.allow(g)
		}
	}
	return all
}

func (r *Role) allow(more Grant) *Role {
	i := slices.IndexFunc(r.Grants, func(g Grant) bool { return g.Kind == more.Kind && g.Name == more.Name && g.Prefix == more.Prefix })
	if i < 0 {
		i = len(r.Grants)
		r.Grants = append(r.Grants, Grant{Kind: more.Kind, Name: more.Name, Prefix: more.Prefix})
	}
	r.Grants[i].Operations = distinct(append(slices.Clone(r.Grants[i].Operations), more.Operations...))
	slices.SortStableFunc(r.Grants, func(a, b Grant) int {
		return cmp.Or(slices.Index(kinds(), a.Kind)-slices.Index(kinds(), b.Kind), strings.Compare(a.Name, b.Name))
	})
	return r
}

func kinds() []Kind { return []Kind{Topic, Group, TransactionalID} }

// distinct operations in their order, without a Describe that others allow.
func distinct(all []Operation) []Operation {
	return slices.DeleteFunc(operations(), func(o Operation) bool {
		described := o == Describe && (slices.Contains(all, Read) || slices.Contains(all, Write))
		return !slices.Contains(all, o) || described
	})
}

// Select returns the roles of a command, given as it is typed, or of all commands that begin so: "run" is what
// every stage needs. "" selects all.
func Select(roles []Role, command string) []Role {
	var found []Role
	for _, r := range roles {
		if slices.ContainsFunc(r.Commands, func(c string) bool {
			return command == "" || c == command || strings.HasPrefix(c, command+" ")
		}) {
			found = append(found, r)
		}
	}
	return found
}

// Table prints roles for people.
func Table(out io.Writer, roles []Role) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "COMMAND\tRESOURCE\tNAME\tOPERATIONS")
	for _, r := range roles {
		who := strings.Join(r.Commands, ", ")
		for _, g := range r.Grants {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", who, g.Kind, g.pattern(), g.list(", "))
			who = ""
		}
	}
	return w.Flush()
}

// pattern is the name with an asterisk where it is a prefix.
func (g Grant) pattern() string {
	if g.Prefix {
		return g.Name + "*"
	}
	return g.Name
}

func (g Grant) list(between string) string {
	names := make([]string, len(g.Operations))
	for i, o := range g.Operations {
		names[i] = string(o)
	}
	return strings.Join(names, between)
}

// Commands prints what allows all of the roles to a principal, a line for each resource.
func Commands(out io.Writer, roles []Role, broker, principal string) error {
	for _, g := range Union(roles).Grants {
		pattern := ""
		if g.Prefix {
			pattern = " --resource-pattern-type prefixed"
		}
		if _, err := fmt.Fprintf(out, "kafka-acls.sh --bootstrap-server %s --add --allow-principal %s --operation %s --%s %s%s\n",
			broker, principal, g.list(" --operation "), g.Kind, g.Name, pattern); err != nil {
			return err
		}
	}
	return nil
}
