package app

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/handoff-dev/handoff/schemas/settings"
)

// tableOf is a table of settings that a test changes.
type tableOf struct {
	shops   map[string]*settings.Shop
	changed chan struct{}
}

func (t *tableOf) Shops() map[string]*settings.Shop { return t.shops }
func (t *tableOf) Changed() <-chan struct{}         { return t.changed }

// set gives a shop a model and lets the watcher see it.
func (t *tableOf) set(shop, model string) {
	synctest.Wait() // until it has read what was
	t.shops = map[string]*settings.Shop{shop: {Shop: shop, Classifier: settings.Classifier{Model: model}}}
	was := t.changed
	t.changed = make(chan struct{})
	close(was)
	synctest.Wait()
}

// A process that has not read a shop's model says so once for each model that the shop names, also when the shop
// names it while the process runs.
func TestMissedModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		table := &tableOf{changed: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		go missModels(ctx, slog.New(slog.NewTextHandler(&out, nil)), table, func(name string) bool { return name == "brand" })
		warned := func(step string, want int, with string) {
			t.Helper()
			if got := strings.Count(out.String(), "level=WARN"); got != want || !strings.Contains(out.String(), with) {
				t.Errorf("%s: %d warnings, want %d, the last with %q:\n%s", step, got, want, with, &out)
			}
		}
		table.set("acme", "brand")
		warned("a model that was read", 0, "")
		table.set("acme", "spring")
		warned("another one", 1, "shop=acme model=spring")
		table.set("acme", "spring")
		warned("the same again", 1, "")
		table.set("acme", "")
		table.set("acme", "spring")
		warned("taken away and named again", 2, "")
		stop()
		synctest.Wait()
	})
}
