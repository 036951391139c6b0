package app

import (
	"context"
	"log/slog"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/classifier"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// CheckModel checks that the model which a shop's document names is in the directory dir. The error is a
// *settings.Error.
func CheckModel(dir string, document []byte, shop *settings.Shop) error {
	if err := classifier.CheckModel(dir, shop.Classifier.Model); err != nil {
		return settings.Problems(document, []settings.Problem{{Path: "classifier.model", Reason: err.Error()}})
	}
	return nil
}

// shopTable is what is asked of the settings table here.
type shopTable interface {
	Shops() map[string]*settings.Shop
	Changed() <-chan struct{}
}

// missModels warns, until ctx ends, of each shop whose model is not among those that the process has read, once for
// each model that the shop names. Such a shop's messages are read with what ships, and nobody else would notice.
func missModels(ctx context.Context, log *slog.Logger, table shopTable, has func(string) bool) {
	told := map[string]string{}
	for {
		next := table.Changed()
		for name, shop := range table.Shops() {
			model := shop.Classifier.Model
			if model != "" && !has(model) && told[name] != model {
				log.Warn("the shop's model was not there when this process started: its messages are read with what ships until the process starts again with the file in classifier.models",
					"shop", name, "model", model)
			}
			told[name] = model
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}
