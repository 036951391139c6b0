package settings

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// node is a part of the schema.
type node struct {
	Ref                  string           `json:"$ref"`
	Type                 any              `json:"type"`
	Properties           map[string]*node `json:"properties"`
	AdditionalProperties json.RawMessage  `json:"additionalProperties"`
	Items                *node            `json:"items"`
	AnyOf                []*node          `json:"anyOf"`
	Default              any              `json:"default"`
	Description          string           `json:"description"`
	Defs                 map[string]*node `json:"$defs"`
}

// TestSchema: it knows every key, refuses others, says what each is for, and is the one in the reference.
func TestSchema(t *testing.T) {
	published, err := os.ReadFile("../../docs/reference/settings.schema.json")
	if err != nil || string(published) != Schema() {
		t.Errorf("docs/reference has another schema; run make generate (%v)", err)
	}
	root := &node{}
	if err := json.Unmarshal([]byte(Schema()), root); err != nil {
		t.Fatal(err)
	}
	seen := map[reflect.Type]bool{}
	var walk func(path string, n *node, typ reflect.Type)
	walk = func(path string, n *node, typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			if typ.Kind() == reflect.Slice && n.Items != nil {
				n = n.Items
			}
			typ = typ.Elem()
		}
		for _, either := range n.AnyOf {
			if either.Ref != "" {
				n = either
			}
		}
		if name, ok := strings.CutPrefix(n.Ref, "#/$defs/"); ok {
			n = root.Defs[name]
		}
		if typ.Kind() != reflect.Struct || seen[typ] && path != "" {
			return
		}
		seen[typ] = true
		if n == nil || string(n.AdditionalProperties) != "false" {
			t.Errorf("%s takes any key", path)
			return
		}
		keys := keysAt(typ, "")
		if len(keys) != len(n.Properties) {
			t.Errorf("%s has the keys %v in the schema, %v in the code", path, len(n.Properties), keys)
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			key := f.Tag.Get("yaml")
			if !slices.Contains(keys, key) || key == "" {
				continue
			}
			p := n.Properties[key]
			if p == nil || p.Description == "" {
				t.Errorf("%s.%s is not described", path, key)
				continue
			}
			walk(path+"."+key, p, f.Type)
		}
	}
	walk("", root, reflect.TypeFor[Shop]())
	if d := root.Properties["handoff"].Properties["pause_for"].Default; d != "24h" {
		t.Errorf("the default of handoff.pause_for is %v", d)
	}
	if d := root.Properties["automation"].Properties["stop_after_same"].Default; d != 3.0 {
		t.Errorf("the default of automation.stop_after_same is %v", d)
	}
}

func TestChanges(t *testing.T) {
	before := shopWith(t, "handoff: {pause_for: 8h}\ntexts: {en: {offer: Yes?}}\nrules:\n  - {name: a, when: message_created, then: [{add_tags: x}]}\n")
	after := shopWith(t, "mode: mirror\ntexts: {en: {help: H}, fr: {offer: Oui ?}}\nrules:\n  - {name: a, when: message_created, then: [{add_tags: [x, y]}]}\n")
	want := []string{
		`handoff.pause_for: 8h0m0s -> 24h0m0s`, `mode: "escalate" -> "mirror"`, `rules[0].then[0].add_tags: [x] -> [x y]`,
		`texts.en.help: - -> "H"`, `texts.en.offer: "Yes?" -> -`, `texts.fr.offer: - -> "Oui ?"`,
	}
	if got := Changes(before, after); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if got := Changes(before, before); len(got) > 0 || !before.Same(before) || before.Same(after) {
		t.Errorf("nothing changed, got %v", got)
	}
}

// TestRulesAreSettings: rules are compiled with the settings, and their bounds have the documented defaults.
func TestRulesAreSettings(t *testing.T) {
	s := shopWith(t, "rules:\n  - {name: a, when: message_created, then: [{add_tags: x}]}\n  - {name: b, enabled: false, when: message_created, then: [{add_tags: x}]}\n")
	if got := s.RuleSet().On("message_created"); len(got) != 1 || got[0].Name != "a" || s.RuleSet().Named("b") != nil {
		t.Errorf("the rules are %v", got)
	}
	if shopWith(t, "").RuleSet().On("message_created") != nil {
		t.Error("a shop without rules has some")
	}
	if a := s.Automation; a.ActionsPerRecord != 10 || a.ReplyEvery != time.Hour || a.AnswerOnceWithin != 5*time.Second ||
		a.StopAfterTexts != 10 || a.StopWithin != 10*time.Minute || a.StopAfterSame != 3 {
		t.Errorf("the bounds are %+v", a)
	}
}
