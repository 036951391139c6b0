package app

import (
	"context"
	"fmt"
	"io"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
)

// ApplyTopics creates the topics that are missing, with the configured partition count, and writes a
// line about each. It refuses, creating nothing, where a topic has another count.
func (a *App) ApplyTopics(ctx context.Context, out io.Writer) error {
	admin, err := kafka.NewAdmin(a.conn)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := admin.Ping(ctx); err != nil {
		return err
	}
	replication := int16(0) // the brokers' default
	if a.cfg.Kafka.Replication > 0 {
		replication = int16(a.cfg.Kafka.Replication)
	}
	states, err := admin.Apply(ctx, schemas.Topics(a.cfg.Kafka.Partitions), replication)
	if err != nil {
		return fmt.Errorf("apply topics: %w", err)
	}
	for _, s := range states {
		what := "is there"
		if s.Created {
			what = "created"
		}
		fmt.Fprintf(out, "%s: %s\n", s.Topic, what)
		for _, d := range s.Differing {
			fmt.Fprintf(out, "  %s is %s, the catalogue says %s; left as it is\n", d.Name, d.Is, d.Want)
		}
	}
	return nil
}
