package app

import (
	"context"

	"github.com/handoff-dev/handoff/pipeline/kafka"
)

// answers tells whether the cluster answers, within seconds. Processes wait for a cluster that is away; who gives a
// command is told, in the same words whatever the command.
func (a *App) answers(ctx context.Context) error {
	admin, err := kafka.NewAdmin(a.conn)
	if err != nil {
		return err
	}
	defer admin.Close()
	return admin.Ping(ctx)
}

// askSettings reads the table of settings for a command.
func (a *App) askSettings(ctx context.Context) (*kafka.Settings, error) {
	if err := a.answers(ctx); err != nil {
		return nil, err
	}
	return a.openSettings(ctx)
}

func (a *App) openSettings(ctx context.Context) (*kafka.Settings, error) {
	return kafka.OpenSettings(ctx, kafka.SettingsConfig{Connection: a.conn, Logger: a.log})
}
