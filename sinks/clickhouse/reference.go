package clickhouse

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// The parts of a definition that the reference shows.
var (
	definitionOf = regexp.MustCompile(`^CREATE (TABLE|MATERIALIZED VIEW|OR REPLACE VIEW)(?: IF NOT EXISTS)? (\S+)`)
	columnOf     = regexp.MustCompile(`(?m)^    (\w+)\s+(.+?) COMMENT '((?:[^']|'')*)'`)
	addedOf      = regexp.MustCompile(`^ALTER TABLE (\S+) ADD COLUMN IF NOT EXISTS (\w+) (.+?) COMMENT '((?:[^']|'')*)' AFTER (\w+)$`)
	commentedOf  = regexp.MustCompile(`^ALTER TABLE (\S+) COMMENT COLUMN (\w+) '((?:[^']|'')*)'$`)
	parameterOf  = regexp.MustCompile(`\{(\w+):(?:[^{}])+\}`)
)

// Reference describes the tables and views as Markdown, from the migrations'
// own comments, for the documentation and for data teams. The text depends on
// the migrations only.
func Reference() (string, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return "", fmt.Errorf("list ClickHouse migrations: %w", err)
	}
	var all []statement
	for _, file := range files {
		rendered, err := Config{Database: "handoff"}.render(file)
		if err != nil {
			return "", err
		}
		for _, s := range rendered {
			all = append(all, read(s))
		}
	}
	var b strings.Builder
	b.WriteString("# Tables and views in ClickHouse\n\nMade from `sinks/clickhouse/migrations`. All are in the database `handoff`. Times are UTC.\n")
	for i, s := range all {
		replaced := slices.ContainsFunc(all[i+1:], func(later statement) bool { return later.name == s.name })
		if s.name != "" && !replaced {
			s.describe(&b, all)
		}
	}
	return b.String(), nil
}

// statement of a migration. One that makes nothing that people read has no name.
type statement struct {
	name, kind string // of a table or view
	comment    []string
	sql        string
}

// read takes a statement apart. The view that only feeds a table is for nobody to read.
func read(text string) statement {
	var comment, sql []string
	for _, line := range strings.Split(text, "\n") {
		if text, ok := strings.CutPrefix(line, "--"); ok {
			comment = append(comment, strings.TrimSpace(text))
		} else {
			sql = append(sql, line)
		}
	}
	s := statement{comment: comment, sql: strings.TrimSpace(strings.Join(sql, "\n"))}
	if m := definitionOf.FindStringSubmatch(s.sql); m != nil && m[1] != "MATERIALIZED VIEW" {
		s.name, s.kind = m[2], strings.ToLower(strings.TrimPrefix(m[1], "OR REPLACE "))
	}
	return s
}

// describe writes a table's or view's section: what its comment says, how a view is asked, and a table's columns,
// those that later statements add too.
func (s statement) describe(b *strings.Builder, all []statement) {
	fmt.Fprintf(b, "\n## %s (%s)\n", strings.TrimPrefix(s.name, "handoff."), s.kind)
	if text := paragraphs(s.comment); text != "" {
		fmt.Fprintf(b, "\n%s\n", text)
	}
	if s.kind == "view" {
		call := s.name
		if names := parameters(s.sql); len(names) > 0 {
			call += "(" + strings.Join(names, ", ") + ")"
		}
		fmt.Fprintf(b, "\n```sql\nSELECT * FROM %s\n```\n", call)
		return
	}
	b.WriteString("\n| column | type | what it holds |\n|---|---|---|\n")
	for _, c := range columnOf.FindAllStringSubmatch(s.sql, -1) {
		s.column(b, all, c[1], c[2], c[3])
		for _, later := range all {
			if m := addedOf.FindStringSubmatch(later.sql); m != nil && m[1] == s.name && m[5] == c[1] {
				s.column(b, all, m[2], m[3], m[4])
			}
		}
	}
}

// column writes a column's line, with what the last statement about it says that it holds.
func (s statement) column(b *strings.Builder, all []statement, name, kind, comment string) {
	for _, later := range all {
		if m := commentedOf.FindStringSubmatch(later.sql); m != nil && m[1] == s.name && m[2] == name {
			comment = m[3]
		}
	}
	fmt.Fprintf(b, "| %s | `%s` | %s |\n", name, kind, strings.ReplaceAll(comment, "''", "'"))
}

// paragraphs joins comment lines; an empty one parts paragraphs.
func paragraphs(lines []string) string {
	var out []string
	for _, p := range strings.Split(strings.Join(lines, "\n"), "\n\n") {
		out = append(out, strings.Join(strings.Fields(p), " "))
	}
	return strings.TrimSpace(strings.Join(out, "\n\n"))
}

// parameters lists a view's parameters, each once, as an example of a call.
func parameters(sql string) []string {
	examples := map[string]string{
		"from": "now() - INTERVAL 30 DAY", "until": "now()", "first_day": "today() - 30", "last_day": "today()",
		"partition": "0", "first_offset": "0", "last_offset": "999",
	}
	var list []string
	seen := map[string]bool{}
	for _, m := range parameterOf.FindAllStringSubmatch(sql, -1) {
		if !seen[m[1]] {
			seen[m[1]] = true
			list = append(list, m[1]+" = "+examples[m[1]])
		}
	}
	return list
}
