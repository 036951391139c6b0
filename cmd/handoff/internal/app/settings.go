package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/connectors/sms"
	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/stages/classify/invite"
)

// settingsWriter is the transactional id of everyone who writes settings: a second writer fences the
// first, so versions are given out one at a time.
const settingsWriter = "handoff-settings-writer"

// CheckSettings reads a shop's document and checks it whole, what only its connectors can judge
// included. The error is a *settings.Error.
func CheckSettings(document []byte) (*settings.Shop, error) {
	find, err := invite.New()
	if err != nil {
		return nil, fmt.Errorf("texts that invite a keyword: %w", err)
	}
	return settings.Parse(document, sms.Check, func(shop *settings.Shop) []settings.Problem {
		return invitations(find, shop)
	})
}

// invitations finds texts to customers that ask for a STOP, START or HELP keyword as an answer to something
// else (R3).
func invitations(find *invite.Finder, shop *settings.Shop) []settings.Problem {
	var problems []settings.Problem
	check := func(path, text string) {
		got, ok := find.Find(text)
		if !ok {
			return
		}
		does := map[handoffv1.Directive]string{
			handoffv1.Directive_DIRECTIVE_STOP: "unsubscribes", handoffv1.Directive_DIRECTIVE_START: "subscribes", handoffv1.Directive_DIRECTIVE_HELP: "gets the help text",
		}[got.Family]
		problems = append(problems, settings.Problem{Path: path, Reason: fmt.Sprintf(
			"asks for %s as an answer, but whoever sends it %s; ask for another word, or say what it does, e.g. \"Reply STOP to opt out\"", got.Keyword, does)})
	}
	for _, lang := range slices.Sorted(maps.Keys(shop.Texts)) {
		for _, id := range slices.Sorted(maps.Keys(shop.Texts[lang])) {
			if !id.ForAgents() {
				check("texts."+lang+"."+string(id), shop.Texts[lang][id])
			}
		}
	}
	for _, t := range shop.RuleTexts() {
		if t.Reply && t.ID == "" {
			check(t.Path, t.Text)
		}
	}
	return problems
}

// ApplySettings publishes a document, checked by CheckSettings, as the shop's next version, and
// returns that version once Kafka acknowledged it. A document that says what the current version says
// changes nothing and returns the current version. An *settings.Error refuses the document.
func (a *App) ApplySettings(ctx context.Context, shop string, document []byte) (uint64, error) {
	parsed, err := CheckSettings(document)
	if err != nil {
		return 0, err
	}
	if err := CheckModel(a.cfg.Classifier.Models, document, parsed); err != nil {
		return 0, err
	}
	if parsed.Shop != shop {
		return 0, &settings.Error{Problems: []settings.Problem{{Path: "shop", Reason: fmt.Sprintf("is %q, want %q", parsed.Shop, shop)}}}
	}
	if err := a.hasSettings(ctx); err != nil {
		return 0, err
	}
	client, err := kgo.NewClient(append(append([]kgo.Opt{
		kgo.SeedBrokers(a.conn.Brokers...), kgo.ClientID("handoff-settings-writer")}, a.conn.Options...),
		kgo.TransactionalID(settingsWriter), kgo.TransactionTimeout(15*time.Second), kgo.RequiredAcks(kgo.AllISRAcks()))...)
	if err != nil {
		return 0, fmt.Errorf("settings writer: %w", err)
	}
	defer client.Close()
	// From here on any other writer is fenced, so the table read next is the newest there will be.
	if _, _, err := client.ProducerID(ctx); err != nil {
		return 0, fmt.Errorf("settings writer (transactional id %s): %w", settingsWriter, err)
	}
	table, err := a.openSettings(ctx)
	if err != nil {
		return 0, err
	}
	defer table.Close()
	current, version, err := table.Current(shop)
	if err == nil && current.Same(parsed) {
		return version, nil
	}
	version++
	return version, a.writeSettings(ctx, client, shop, &handoffv1.Settings{Version: version, Document: document})
}

// CurrentSettings reads the version of a shop's settings that is in force.
func (a *App) CurrentSettings(ctx context.Context, shop string) (*settings.Shop, error) {
	table, err := a.askSettings(ctx)
	if err != nil {
		return nil, err
	}
	defer table.Close()
	current, _, err := table.Current(shop)
	if errors.Is(err, pipeline.ErrSettingsPending) {
		return nil, noSettings(shop, table)
	}
	return current, err
}

// noSettings is the error about a shop that has none in force. It names those that have.
func noSettings(shop string, table *kafka.Settings) error {
	known := slices.Sorted(maps.Keys(table.Shops()))
	if len(known) == 0 {
		return fmt.Errorf("shop %q has no settings, nor has any other: handoff settings apply publishes them", shop)
	}
	return fmt.Errorf("shop %q has no settings: handoff settings apply publishes them; there are those of %s", shop, strings.Join(known[:min(len(known), shopsNamed)], ", "))
}

// shopsNamed bounds how many shops an error names.
const shopsNamed = 20

// writeSettings writes a version and makes it the current one, in one transaction.
func (a *App) writeSettings(ctx context.Context, client *kgo.Client, shop string, body *handoffv1.Settings) error {
	name := fmt.Sprintf("%s|%d", shop, body.GetVersion())
	value, err := schemas.EncodeOutside(&handoffv1.Record{
		Id: schemas.SourceID("settings", shop, "", name), Shop: shop,
		ReceivedAt: timestamppb.Now(), EventTime: timestamppb.Now(), SettingsVersion: body.GetVersion(),
		Body: &handoffv1.Record_Settings{Settings: body},
	})
	if err != nil {
		return err
	}
	if len(value) > schemas.MaxRecordBytes {
		return &settings.Error{Problems: []settings.Problem{{Reason: fmt.Sprintf("the document has %d bytes; at most about %d fit", len(body.GetDocument()), schemas.MaxRecordBytes)}}}
	}
	if err := client.BeginTransaction(); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	results := client.ProduceSync(ctx,
		&kgo.Record{Topic: schemas.TopicSettings, Key: []byte(name), Value: value},
		&kgo.Record{Topic: schemas.TopicSettings, Key: []byte(shop + "|current"), Value: value})
	if err := results.FirstErr(); err != nil {
		return errors.Join(fmt.Errorf("write settings to %s: %w", schemas.TopicSettings, err), client.EndTransaction(context.WithoutCancel(ctx), kgo.TryAbort))
	}
	if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}
