package app

import (
	"context"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
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

// hasSettings tells, of a cluster that answers, whether settings can be in it. Processes wait for the topic too.
func (a *App) hasSettings(ctx context.Context) error {
	if err := a.answers(ctx); err != nil {
		return err
	}
	_, err := a.conn.Ends(ctx, schemas.TopicSettings)
	return err
}

// askSettings reads the table of settings for a command.
func (a *App) askSettings(ctx context.Context) (*kafka.Settings, error) {
	if err := a.hasSettings(ctx); err != nil {
		return nil, err
	}
	return a.openSettings(ctx)
}

func (a *App) openSettings(ctx context.Context) (*kafka.Settings, error) {
	return kafka.OpenSettings(ctx, kafka.SettingsConfig{Connection: a.conn, Logger: a.log})
}
