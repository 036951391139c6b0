package app

import (
	"context"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
)

// DeadLetters reads all dead letters. took is told of how many records were read, of how many.
func (a *App) DeadLetters(ctx context.Context, took func(n, of int64)) (*kafka.DeadLetters, error) {
	if err := a.answers(ctx); err != nil {
		return nil, err
	}
	return kafka.ReadDeadLetters(ctx, a.conn, took)
}

// Resolver opens what puts dead letters back or drops them in the name of by, or with look only tells which it
// would. release must be called.
func (a *App) Resolver(ctx context.Context, by string, look bool, took func(n, of int64)) (r *kafka.Resolver, release func(), err error) {
	all, err := newStages(a.cfg.Escalate, a.cfg.Classifier)
	if err != nil {
		return nil, nil, err
	}
	shuts := map[string]bool{}
	for _, s := range all.list() {
		_, shuts[s.Name()] = s.(pipeline.FailureHandler)
	}
	table, err := a.askSettings(ctx)
	if err != nil {
		return nil, nil, err
	}
	r, err = kafka.OpenResolver(ctx, kafka.ResolverConfig{
		Connection: a.conn, Settings: table, Stages: StageNames(), By: by, Look: look, Took: took,
		ShutsTexts: func(stage string) bool { return shuts[stage] },
	})
	if err != nil {
		table.Close()
		return nil, nil, err
	}
	return r, func() {
		r.Close()
		table.Close()
	}, nil
}
