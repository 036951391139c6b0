package settings

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// unknownKey says which key nobody knows, and which one may have been meant.
func unknownKey(document []byte, t *token.Token) (path, reason string) {
	if t == nil {
		return "", "there is a key that is not known"
	}
	reason = fmt.Sprintf("%q is not known", t.Value)
	file, err := parser.ParseBytes(document, 0)
	if err != nil {
		return "", reason
	}
	find := &finder{at: t.Position}
	for _, doc := range file.Docs {
		ast.Walk(find, doc)
	}
	path = strings.TrimPrefix(find.path, "$.")
	known := keysAt(reflect.TypeFor[Shop](), parent(path))
	if near := nearest(t.Value, known); near != "" {
		return path, reason + "; did you mean " + near + "?"
	}
	if len(known) > 0 {
		reason += "; known here: " + strings.Join(known, ", ")
	}
	return path, reason
}

// finder finds the path of the key at a position, or of the innermost value.
type finder struct {
	at     *token.Position
	values bool
	path   string
}

// Visit implements ast.Visitor.
func (f *finder) Visit(n ast.Node) ast.Visitor {
	if v, ok := n.(*ast.MappingValueNode); ok {
		if t := v.Key.GetToken(); t.Position.Line == f.at.Line && t.Position.Column == f.at.Column {
			f.path = v.Key.GetPath()
		}
		return f
	}
	if t := n.GetToken(); f.values && t != nil && t.Position != nil && t.Position.Line == f.at.Line && t.Position.Column == f.at.Column {
		f.path = n.GetPath()
	}
	return f
}

var inList = regexp.MustCompile(`\[\d+\]`)

// keysAt lists the keys of the mapping at a path below a type.
func keysAt(t reflect.Type, path string) []string {
	for _, step := range strings.Split(inList.ReplaceAllString(path, ""), ".") {
		t = element(t)
		if step == "" {
			continue
		}
		switch t.Kind() {
		case reflect.Struct:
			f, ok := fieldOf(t, step)
			if !ok {
				return nil
			}
			t = f.Type
		case reflect.Map:
			t = t.Elem()
		default:
			return nil
		}
	}
	t = element(t)
	if t.Kind() != reflect.Struct {
		return nil
	}
	var keys []string
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// element is what a list or pointer holds in the end.
func element(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); f.Tag.Get("yaml") == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// nearest returns the word that differs least from the given one, "" where none is near.
func nearest(word string, words []string) string {
	best, least := "", 1+len(word)/3
	for _, w := range words {
		if len(word) > 2 && strings.HasPrefix(w, word+"_") {
			return w // its beginning, e.g. pause for pause_for
		}
		if d := distance(word, w); d <= least && (best == "" || d < distance(word, best)) {
			best = w
		}
	}
	return best
}

// distance counts the letters that are to be added, left out or changed to make one word of another.
func distance(a, b string) int {
	before := make([]int, len(b)+1)
	for j := range before {
		before[j] = j
	}
	for i := range len(a) {
		row := append(make([]int, 0, len(before)), i+1)
		for j := range len(b) {
			change := before[j]
			if a[i] != b[j] {
				change++
			}
			row = append(row, slices.Min([]int{change, before[j+1] + 1, row[j] + 1}))
		}
		before = row
	}
	return before[len(b)]
}
