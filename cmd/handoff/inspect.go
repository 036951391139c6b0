package main

import (
	"os"
)

// topologyCommand tells what reads and writes what.
type topologyCommand struct {
	Format string `default:"table" enum:"table,json,dot,mermaid,svg" help:"table, json, dot (Graphviz), mermaid or svg."`
}

// Run prints the topology; nothing is asked of the cluster.
func (c *topologyCommand) Run(s *session) error {
	a, err := s.app()
	if err != nil {
		return err
	}
	t, err := a.Describe()
	if err != nil {
		return err
	}
	return t.Write(os.Stdout, c.Format)
}
