package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/handoff-dev/handoff/schemas/settings/rules"
)

// rulesPage is docs/rules.md with its tables made anew; what stands outside the marks is written by hand.
func rulesPage() (string, error) {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(home), "rules.md"))
	if err != nil {
		return "", err
	}
	said, err := readComments("schemas/settings/rules")
	if err != nil {
		return "", err
	}
	page := string(text)
	for _, table := range []struct {
		mark string
		of   reflect.Type
		tag  string
	}{
		{"rule", reflect.TypeFor[rules.Rule](), "yaml"}, {"conditions", reflect.TypeFor[rules.Condition](), "yaml"},
		{"actions", reflect.TypeFor[rules.Action](), "yaml"}, {"reply", reflect.TypeFor[rules.Reply](), "yaml"}, {"expressions", reflect.TypeFor[rules.Event](), "expr"},
	} {
		var b strings.Builder
		b.WriteString("| key | takes | meaning |\n|---|---|---|\n")
		for i := range table.of.NumField() {
			f := table.of.Field(i)
			key := f.Tag.Get(table.tag)
			if key == "" {
				continue
			}
			comment := said[table.of.Name()+"."+key]
			if table.tag == "expr" {
				comment = said[table.of.Name()+".expr:"+key]
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", key, typeName(f.Type), plain(comment, f.Name, key))
		}
		begin, end := "<!-- generated: "+table.mark+" -->\n", "<!-- end -->"
		before, rest, ok := strings.Cut(page, begin)
		_, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			return "", fmt.Errorf("docs/rules.md has no place for %s: %s … %s", table.mark, strings.TrimSpace(begin), end)
		}
		page = before + begin + b.String() + end + after
	}
	return page, nil
}
