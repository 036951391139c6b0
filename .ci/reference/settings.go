package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
)

// leastShop is a document with nothing but what is required: all else has its default.
const leastShop = `{shop: acme, name: Acme, support_contact: help@acme.example, accounts: [{channel: sms, account: "+15557770000", provider: twilio, user: AC1, secret: "env:T"}]}`

// settingsDirs hold the types of settings.
var settingsDirs = []string{"schemas/settings", "schemas/settings/rules"}

// settingsPage is the page of every key: type, default, behaviour, meaning.
func settingsPage(string) (string, error) {
	said, err := readComments(settingsDirs...)
	if err != nil {
		return "", err
	}
	shop, err := settings.Parse([]byte(leastShop))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# Settings of a shop\n\nOne YAML document per shop; [examples/shops/acme.yaml](../../examples/shops/acme.yaml) shows them at work. `handoff settings check FILE` refuses unknown keys and wrong values with line and reason, `handoff settings schema` prints the [JSON Schema](settings.schema.json) for editors, `handoff settings apply -f FILE` publishes a version without a restart. Durations are written like 90m or 24h. Behaviour ids are those in scripts' names.\n\n| key | type | default | behaviour | meaning |\n|---|---|---|---|---|\n")
	p := page{b: &b, said: said}
	p.rows("", reflect.TypeFor[settings.Shop](), reflect.ValueOf(*shop))
	b.WriteString("\n## Texts\n\nEach can be set under `texts`, by language and id.\n\n| id | default |\n|---|---|\n")
	for _, id := range settings.TextIDs() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", id, id.Default())
	}
	return b.String(), nil
}

type page struct {
	b    *strings.Builder
	said comments
}

// rows writes a row for every key of a struct, those of nested ones behind it.
func (p page) rows(prefix string, t reflect.Type, defaults reflect.Value) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		comment := p.said[t.Name()+"."+key]
		value := ""
		if defaults.IsValid() {
			value = defaultOf(defaults.Field(i))
		}
		if prefix+key == "shop" || prefix+key == "name" || prefix+key == "support_contact" || prefix+key == "accounts" {
			value = "required"
		}
		fmt.Fprintf(p.b, "| `%s` | %s | %s | %s | %s |\n", prefix+key, typeName(f.Type), value, behaviours(comment), plain(comment, f.Name, key))
		inner, suffix := f.Type, "."
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			if inner.Kind() == reflect.Slice {
				suffix = "[]."
			}
			inner = inner.Elem()
		}
		if inner.Kind() != reflect.Struct || inner == t {
			continue
		}
		nested := reflect.Value{}
		if defaults.IsValid() && f.Type.Kind() == reflect.Struct {
			nested = defaults.Field(i)
		}
		p.rows(prefix+key+suffix, inner, nested)
	}
}

// typeName is a type in a shop's words.
func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[settings.SecretRef]():
		return "secret reference"
	case reflect.TypeFor[rules.Words]():
		return "word or list"
	case reflect.TypeFor[rules.Texts]():
		return "text, or text by language"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Map:
		return "map to " + typeName(t.Elem())
	case reflect.Struct:
		return "section"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Float64:
		return "number"
	default:
		return "text"
	}
}

// defaultOf writes a default as YAML would; "" for none.
func defaultOf(v reflect.Value) string {
	switch d := v.Interface().(type) {
	case time.Duration:
		if d == 0 {
			return "`0s`"
		}
		return "`" + shortDuration(d) + "`"
	case bool:
		return fmt.Sprintf("`%v`", d)
	}
	switch v.Kind() {
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return ""
	case reflect.Slice:
		if v.Len() == 0 || v.Type().Elem().Kind() != reflect.String {
			return ""
		}
		words := make([]string, v.Len())
		for i := range words {
			words[i] = v.Index(i).String()
		}
		return "`[" + strings.Join(words, ", ") + "]`"
	case reflect.String:
		if v.String() == "" {
			return ""
		}
	default:
	}
	return fmt.Sprintf("`%v`", v.Interface())
}

// shortDuration is 24h for 24h0m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// settingsSchema is the JSON Schema of the same for editors.
func settingsSchema(string) (string, error) {
	said, err := readComments(settingsDirs...)
	if err != nil {
		return "", err
	}
	shop, err := settings.Parse([]byte(leastShop))
	if err != nil {
		return "", err
	}
	s := &schema{said: said, defs: map[string]any{}}
	root := s.object(reflect.TypeFor[settings.Shop](), reflect.ValueOf(*shop))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Handoff: settings of a shop"
	root["description"] = "A shop's settings, or a file of its rules. Generated from the code; do not edit."
	root["dependentRequired"] = map[string]any{"shop": []string{"name", "support_contact", "accounts"}}
	root["$defs"] = s.defs
	text, err := json.MarshalIndent(root, "", "  ")
	return string(text) + "\n", err
}

type schema struct {
	said comments
	defs map[string]any
}

// object is a struct's schema; keys that are not known are refused.
func (s *schema) object(t reflect.Type, defaults reflect.Value) map[string]any {
	keys := map[string]any{}
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		value := reflect.Value{}
		if defaults.IsValid() {
			value = defaults.Field(i)
		}
		of := s.of(f.Type, value)
		if allowed := enumOf(t.Name() + "." + key); allowed != nil {
			of = withEnum(of, allowed)
		}
		about := map[string]any{"description": s.said[t.Name()+"."+key]}
		if value.IsValid() && !value.IsZero() && scalar(value) && key != "shop" && key != "name" && key != "support_contact" {
			about["default"] = jsonDefault(value)
		}
		for k, v := range of {
			about[k] = v
		}
		keys[key] = about
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": keys}
}

// of is a type's schema.
func (s *schema) of(t reflect.Type, value reflect.Value) map[string]any {
	text := map[string]any{"type": "string"}
	texts := map[string]any{"type": "object", "additionalProperties": text}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return map[string]any{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`}
	case reflect.TypeFor[rules.Words]():
		word := map[string]any{"type": []string{"string", "number", "boolean"}}
		return map[string]any{"anyOf": []any{word, map[string]any{"type": "array", "items": word}}}
	case reflect.TypeFor[rules.Texts]():
		return map[string]any{"anyOf": []any{text, texts}}
	case reflect.TypeFor[rules.Text](), reflect.TypeFor[rules.Reply]():
		return map[string]any{"anyOf": []any{text, s.def(t)}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem(), reflect.Value{})
	case reflect.Slice:
		return map[string]any{"type": "array", "items": s.of(t.Elem(), reflect.Value{})}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": s.of(t.Elem(), reflect.Value{})}
	case reflect.Struct:
		if value.IsValid() {
			return s.object(t, value)
		}
		return s.def(t)
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	default:
		return text
	}
}

// def refers to a struct that stands in several places, in itself too.
func (s *schema) def(t reflect.Type) map[string]any {
	if _, ok := s.defs[t.Name()]; !ok {
		s.defs[t.Name()] = true // being made
		s.defs[t.Name()] = s.object(t, reflect.Value{})
	}
	return map[string]any{"$ref": "#/$defs/" + t.Name()}
}

// enumOf lists the values of keys that take few.
func enumOf(key string) []string {
	switch key {
	case "Shop.mode":
		return []string{string(settings.ModeEscalate), string(settings.ModeMirror)}
	case "Rule.when":
		var names []string
		for _, t := range rules.Triggers() {
			names = append(names, string(t))
		}
		return names
	case "Action.set_status":
		return []string{"open", "solved", "closed"}
	case "Action.set_priority":
		return []string{"low", "normal", "high", "urgent"}
	case "Condition.support_hours":
		return []string{"open", "closed"}
	}
	return nil
}

// withEnum bounds a word, or the words of a list.
func withEnum(of map[string]any, allowed []string) map[string]any {
	word := map[string]any{"type": "string", "enum": allowed}
	if of["anyOf"] != nil {
		return map[string]any{"anyOf": []any{word, map[string]any{"type": "array", "items": word}}}
	}
	return word
}

func scalar(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	case reflect.Slice:
		return v.Type().Elem().Kind() == reflect.String
	default:
		return false
	}
}

func jsonDefault(v reflect.Value) any {
	if d, ok := v.Interface().(time.Duration); ok {
		return shortDuration(d)
	}
	return v.Interface()
}
