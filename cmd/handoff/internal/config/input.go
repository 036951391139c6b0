package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/knadh/koanf/v2"

	"github.com/handoff-dev/handoff/schemas/settings"
)

// input is what was given beside the defaults: the file's, the environment's and the flags' settings, each later one
// over an earlier one. Every value is of its setting's kind.
type input struct {
	kinds  map[string]reflect.Type
	values map[string]any
	places map[string]string // where each was given, for people
}

func newInput() *input {
	in := &input{kinds: map[string]reflect.Type{}, values: map[string]any{}, places: map[string]string{}}
	kindsOf(reflect.TypeFor[Config](), "", in.kinds)
	return in
}

// kindsOf notes the kind of every setting.
func kindsOf(t reflect.Type, prefix string, into map[string]reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := prefix + f.Tag.Get("koanf")
		if f.Type.Kind() == reflect.Struct {
			kindsOf(f.Type, key+".", into)
			continue
		}
		into[key] = f.Type
	}
}

func (in *input) take(key, place string, value any) { in.values[key], in.places[key] = value, place }

// flag takes "key=value".
func (in *input) flag(s string) error {
	key, text, ok := strings.Cut(s, "=")
	kind, known := in.kinds[key]
	if !ok || !known {
		return fmt.Errorf("--set %s: want key=value with a key of `handoff config print`", s)
	}
	value, err := valueOf(kind, text)
	if err != nil {
		return fmt.Errorf("--set: %s: %w", key, err)
	}
	in.take(key, "--set", value)
	return nil
}

// environment takes HANDOFF_… variables; "__" divides parts. An unknown one that has parts is refused; others are
// somebody else's, a secret's for instance.
func (in *input) environment(all []string) error {
	var unknown []string
	for _, variable := range all {
		name, text, _ := strings.Cut(variable, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours {
			continue
		}
		key := strings.ReplaceAll(strings.ToLower(rest), "__", ".")
		kind, known := in.kinds[key]
		if !known {
			if strings.Contains(key, ".") {
				unknown = append(unknown, name)
			}
			continue
		}
		value, err := valueOf(kind, text)
		if err != nil {
			return fmt.Errorf("environment: %s: %w", name, err)
		}
		in.take(key, name, value)
	}
	if len(unknown) > 0 {
		return fmt.Errorf("environment: %s is not a setting; HANDOFF_KAFKA__BROKERS sets kafka.brokers, and so on", strings.Join(unknown, ", "))
	}
	return nil
}

// file takes a YAML file. What it refuses, it refuses with its line.
func (in *input) file(name string) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	var doc map[string]any
	if err := settings.Read(raw, &doc); err != nil && !errors.Is(err, io.EOF) { // an empty file sets nothing
		var bad *settings.Error
		if errors.As(err, &bad) {
			return errors.New(bad.In(name))
		}
		return fmt.Errorf("configuration file %s: %w", name, err)
	}
	r := &fileReader{kinds: in.kinds, values: map[string]any{}}
	r.section("", "", doc)
	if len(r.problems) > 0 {
		bad := settings.Problems(raw, r.problems)
		slices.SortStableFunc(bad.Problems, func(a, b settings.Problem) int { return cmp.Compare(a.Line, b.Line) })
		return errors.New(bad.In(name))
	}
	for key, value := range r.values {
		in.take(key, placeOf(raw, name, key), value)
	}
	return nil
}

// placeOf says where in a file a setting stands.
func placeOf(raw []byte, file, key string) string {
	p := settings.Problems(raw, []settings.Problem{{Path: key}}).Problems[0]
	if p.Line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d:%d", file, p.Line, p.Column)
}

// fileReader takes a file's sections apart.
type fileReader struct {
	kinds    map[string]reflect.Type
	values   map[string]any
	problems []settings.Problem
}

func (r *fileReader) bad(path, reason string) {
	r.problems = append(r.problems, settings.Problem{Path: path, Reason: reason})
}

// plainName is a key that stands in a path as it is; others are quoted.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// section takes the settings below a key. path is where they stand, as the place is looked up by.
func (r *fileReader) section(prefix, path string, doc map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		v, key, at := doc[name], prefix+name, path+name
		if !plainName.MatchString(name) {
			at = path + "'" + name + "'"
		}
		kind, known := r.kinds[key]
		sub, nested := v.(map[string]any)
		switch {
		case strings.Contains(name, ".") && known:
			r.bad(at, "write each part on a line of its own, the next one indented below it")
		case v == nil && (known || r.isSection(key)): // nothing is given: the default stands
		case known:
			value, err := valueOf(kind, v)
			if err != nil {
				r.bad(at, err.Error())
				continue
			}
			r.values[key] = value
		case nested && r.isSection(key):
			r.section(key+".", at+".", sub)
		case r.isSection(key):
			r.bad(at, "is a section: its settings stand on lines of their own below it; `handoff config print` lists them")
		default:
			r.bad(at, "is not a setting; `handoff config print` lists them")
		}
	}
}

// isSection tells whether settings stand below a key.
func (r *fileReader) isSection(key string) bool {
	for known := range r.kinds {
		if strings.HasPrefix(known, key+".") {
			return true
		}
	}
	return false
}

// valueOf reads a setting's value, text or what YAML made of it. The error says what the setting takes; a secret is
// never in it.
func valueOf(kind reflect.Type, v any) (any, error) {
	switch v := v.(type) {
	case []any:
		if kind.Kind() == reflect.Slice {
			return entriesOf(v)
		}
		return nil, errors.New("takes one value, not a list")
	case map[string]any:
		if kind.Kind() == reflect.Slice {
			return nil, errors.New(`takes a list, such as ["a.example.com:9092", "b.example.com:9092"], not a section of keys`)
		}
		return nil, errors.New("takes one value, not a section of keys; put quotes around a text in which there is a colon and a space")
	}
	text := fmt.Sprint(v)
	switch {
	case kind == reflect.TypeFor[time.Duration]():
		return durationOf(text)
	case kind.Kind() == reflect.Int:
		n, err := strconv.ParseInt(text, 0, 0)
		if err != nil {
			return nil, fmt.Errorf("%q is not a whole number, which is written without a unit", text)
		}
		return int(n), nil
	case kind.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not true or false", text)
		}
		return b, nil
	case kind.Kind() == reflect.Slice:
		return entriesOf(split(text))
	}
	return text, nil
}

// split divides a list that is written as one text.
func split(text string) (all []any) {
	for _, part := range strings.Split(text, ",") {
		all = append(all, part)
	}
	return all
}

// entriesOf reads a list of texts.
func entriesOf(list []any) ([]string, error) {
	all := make([]string, 0, len(list))
	for i, v := range list {
		switch v.(type) {
		case []any, map[string]any:
			// YAML reads {brokers: [a:1]} and [a: 1] as keys with values.
			return nil, fmt.Errorf(`entry %d of the list is read as a section of keys: put quotes around each entry, ["a.example.com:9092"]`, i+1)
		case nil:
			return nil, fmt.Errorf("entry %d of the list is empty", i+1)
		}
		all = append(all, strings.TrimSpace(fmt.Sprint(v)))
	}
	return all, nil
}

// durationOf reads a duration, in koanf's way, which knows days.
func durationOf(text string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return 0, fmt.Errorf("%s has no unit: write %[1]ss, %[1]sm or %[1]sh", text)
	}
	var one struct {
		D time.Duration `koanf:"d"`
	}
	k := koanf.New(".")
	err := k.Set("d", text)
	if err == nil && text != "" {
		err = k.Unmarshal("", &one)
	}
	if err != nil || text == "" || text == "true" || text == "false" {
		return 0, fmt.Errorf("%q is not a duration, e.g. 500ms, 20s, 5m, 24h or 2d", text)
	}
	return one.D, nil
}
