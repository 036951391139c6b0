package scripts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/pipeline/script"
	"github.com/handoff-dev/handoff/schemas/settings"
)

const twoRules = `rules:
  - name: canada
    when: message_created
    if: {text_contains: canada, sentiment_below: 0.5}
    then: [{auto_reply: "We do."}, {note: "Asked for Canada."}]
  - name: mexico
    when: message_created
    if: {any: [{text_contains: mexico}, {language: es}]}
    then: [{add_to_list: mexico}]
`

// TestShowRules: which rules matched, which conditions failed and why, and what came of it.
func TestShowRules(t *testing.T) {
	file := filepath.Join(t.TempDir(), "s.txt")
	if err := os.WriteFile(file, []byte("customer\ndo you ship to Canada?\n----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	doc, err := app.CompleteRules([]byte(twoRules), nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := ShowRules(file, doc, &out); err != nil {
		t.Fatal(err)
	}
	want := file + `:1: customer
    do you ship to Canada?
  message_created: rule canada matches
      auto_reply
      not done: note: there is no ticket
  message_created: rule mexico does not match
      any of: none of them holds
      text_contains: mexico: it is do you ship to Canada?
      language: es: it is en
  > consent: conversational, was unknown (first message, account:sms:+15557770000)
  > rule canada did not note: there is no ticket
  > text to +14155550001 [rule]: We do.
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if err := os.WriteFile(file, []byte("custommer\n----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var bad *script.SyntaxError
	if err := ShowRules(file, doc, &out); !errors.As(err, &bad) || bad.Line != 1 {
		t.Errorf("a script that is none: %v", err)
	}
}

// TestCompleteRules: a file of rules is checked with its own lines, whatever is completed.
func TestCompleteRules(t *testing.T) {
	for doc, want := range map[string]string{
		twoRules: "",
		"rules:\n  - name: a\n    when: message_created\n    iff: {}\n    then: [{note: x}]":                  `f.yaml:4:5: rules[0].iff: "iff" is not known; did you mean if?`,
		"rules:\n  - name: a\n    when: message_created\n    then: [{auto_reply: 'To cancel, reply STOP'}]\n": "f.yaml:4:25: rules[0].then[0].auto_reply.text: asks for STOP as an answer",
		"name: [\n":                         "f.yaml:1:7: ",
		"mode: mirrored\nbot: {url: 'x'}\n": `f.yaml:1:7: mode: "mirrored" is not known`,
		"rules:\n  - {name: a, when: timer, then: [{note: a}]}": "f.yaml:2:",
	} {
		whole, err := app.CompleteRules([]byte(doc), nil)
		if err == nil {
			_, err = app.CheckSettings(whole)
		}
		var bad *settings.Error
		if want == "" && err != nil || want != "" && (!errors.As(err, &bad) || !strings.HasPrefix(bad.In("f.yaml"), want)) {
			said := ""
			if bad != nil {
				said = bad.In("f.yaml")
			}
			t.Errorf("%q gives %v %s, want %s", doc, err, said, want)
		}
	}
}

// TestRulesOfAShop: rules alone are checked against the settings of the shop that they are for.
func TestRulesOfAShop(t *testing.T) {
	const rules = "rules:\n  - name: rentals\n    when: message_created\n    if: {intent: rental}\n    then: [{add_tags: rental}]\n"
	shop, err := app.CompleteRules([]byte("classifier: {model: kayaks}\nrules: [{name: old, when: message_created, then: [{add_tags: old}]}]\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		base []byte
		want bool
	}{"the shop has a model of its own": {shop, true}, "it has not": {nil, false}} {
		whole, err := app.CompleteRules([]byte(rules), c.base)
		if err != nil {
			t.Fatal(err)
		}
		got, err := app.CheckSettings(whole)
		if (err == nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (len(got.Rules) != 1 || got.Classifier.Model != "kayaks") {
			t.Errorf("%s: %d rules, model %q", name, len(got.Rules), got.Classifier.Model)
		}
	}
}

// TestShippedRules: every file in examples/rules is in order, and off until a shop takes it.
func TestShippedRules(t *testing.T) {
	files, err := filepath.Glob("../../../../examples/rules/*.yaml")
	if err != nil || len(files) < 9 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := app.CompleteRules(doc, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := app.CheckSettings(whole); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if !strings.HasPrefix(string(doc), "# yaml-language-server: $schema=../../docs/reference/settings.schema.json\n") {
			t.Errorf("%s does not name the schema for editors", file)
		}
		script := "R2_" + strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".yaml"), "-", "_") + ".txt"
		if _, err := os.Stat("../../../../pipeline/script/testdata/" + script); err != nil {
			t.Errorf("%s has no script %s", file, script)
		}
	}
	shop, err := settings.Parse(script.BaseSettings())
	if err != nil || shop.RuleSet() != nil {
		t.Errorf("a shop has rules that it did not ask for: %v", err)
	}
}
