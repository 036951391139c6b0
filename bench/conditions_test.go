package main

import (
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/cel-go/cel"

	"github.com/handoff-dev/handoff/schemas/settings/rules"
)

// conditions are the same three in each language: of one part, of three, and one that looks into the text.
var conditions = []struct{ name, structured, expression, cel string }{
	{"one", "{channel: sms}", `channel == "sms"`, `channel == "sms"`},
	{"three", "{channel: sms, status_before: [solved, closed], tags_lack: handled}",
		`channel == "sms" and status_before in ["solved", "closed"] and not ("handled" in tags)`,
		`channel == "sms" && status_before in ["solved", "closed"] && !("handled" in tags)`},
	{"text", `{any: [{text_contains: broken}, {text_matches: "order [0-9]{4,}"}], sentiment_below: 0}`,
		`(text contains "broken" or text matches "order [0-9]{4,}") and sentiment < 0`,
		`(text.contains("broken") || text.matches("order [0-9]{4,}")) && sentiment < 0.0`},
}

func happened() *rules.Event {
	return &rules.Event{
		Channel: "sms", Status: "open", StatusBefore: "solved", Tags: []string{"sms", "messaging_support"},
		Text: "hi, where is my order 10117? it should have come on monday", Intent: "order_status", Sentiment: -0.4, Language: "en",
	}
}

// BenchmarkConditions compares a rule's structured condition with the same as an expression, of expr-lang
// and of CEL, on one event: docs/decisions/0060-conditions.md has the figures.
func BenchmarkConditions(b *testing.B) {
	for _, c := range conditions {
		b.Run(c.name+"/structured", func(b *testing.B) { measureRule(b, c.structured) })
		b.Run(c.name+"/expr", func(b *testing.B) { measureRule(b, "{expr: '"+c.expression+"'}") })
		b.Run(c.name+"/cel", func(b *testing.B) { measureCEL(b, c.cel) })
	}
}

func measureRule(b *testing.B, condition string) {
	b.Helper()
	rule := compiledRule(b, condition)
	b.ReportAllocs()
	for b.Loop() {
		if !rule.Match(happened()) {
			b.Fatal("it does not match")
		}
	}
}

func measureCEL(b *testing.B, expression string) {
	b.Helper()
	program := compiledCEL(b, expression)
	b.ReportAllocs()
	for b.Loop() {
		e := happened()
		out, _, err := program.Eval(map[string]any{
			"channel": e.Channel, "status_before": e.StatusBefore, "tags": e.Tags, "text": e.Text, "sentiment": e.Sentiment,
		})
		if err != nil || out.Value() != true {
			b.Fatal(out, err)
		}
	}
}

// BenchmarkCompile is what reading the condition of three costs, once for each version of settings.
func BenchmarkCompile(b *testing.B) {
	c := conditions[1]
	b.Run("structured", func(b *testing.B) {
		for b.Loop() {
			compiledRule(b, c.structured)
		}
	})
	b.Run("expr", func(b *testing.B) {
		for b.Loop() {
			compiledRule(b, "{expr: '"+c.expression+"'}")
		}
	})
	b.Run("cel", func(b *testing.B) {
		for b.Loop() {
			compiledCEL(b, c.cel)
		}
	})
}

func compiledRule(b *testing.B, condition string) *rules.Compiled {
	b.Helper()
	var list []rules.Rule
	if err := yaml.Unmarshal([]byte("- name: a\n  when: message_created\n  if: "+condition+"\n  then: [{add_tags: x}]\n"), &list); err != nil {
		b.Fatal(err)
	}
	set, problems := rules.Compile(list, nil)
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	return set.Named("a")
}

func compiledCEL(b *testing.B, expression string) cel.Program {
	b.Helper()
	env, err := cel.NewEnv(cel.Variable("channel", cel.StringType), cel.Variable("status_before", cel.StringType),
		cel.Variable("tags", cel.ListType(cel.StringType)), cel.Variable("text", cel.StringType), cel.Variable("sentiment", cel.DoubleType))
	if err != nil {
		b.Fatal(err)
	}
	checked, issues := env.Compile(expression)
	if issues.Err() != nil {
		b.Fatal(issues.Err())
	}
	program, err := env.Program(checked, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		b.Fatal(err)
	}
	return program
}
