package clickhouse

import (
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// The parts of a definition that the reference shows.
var (
	definitionOf = regexp.MustCompile(`^CREATE (TABLE|MATERIALIZED VIEW|OR REPLACE VIEW)(?: IF NOT EXISTS)? (\S+)`)
	columnOf     = regexp.MustCompile(`(?m)^    (\w+)\s+(.+?) COMMENT '((?:[^']|'')*)'`)
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
	var b strings.Builder
	b.WriteString("# Tables and views in ClickHouse\n\nMade from `sinks/clickhouse/migrations`. All are in the database `handoff`. Times are UTC.\n")
	for _, file := range files {
		statements, err := Config{Database: "handoff"}.render(file)
		if err != nil {
			return "", err
		}
		for _, s := range statements {
			describe(&b, s)
		}
	}
	return b.String(), nil
}

// describe writes one statement's section: what its comment says, how a view
// is asked, and a table's columns. The view that only feeds a table has none.
func describe(b *strings.Builder, statement string) {
	var comment, sql []string
	for _, line := range strings.Split(statement, "\n") {
		if text, ok := strings.CutPrefix(line, "--"); ok {
			comment = append(comment, strings.TrimSpace(text))
		} else {
			sql = append(sql, line)
		}
	}
	body := strings.TrimSpace(strings.Join(sql, "\n"))
	m := definitionOf.FindStringSubmatch(body)
	if m == nil || m[1] == "MATERIALIZED VIEW" {
		return
	}
	kind := strings.ToLower(strings.TrimPrefix(m[1], "OR REPLACE "))
	fmt.Fprintf(b, "\n## %s (%s)\n", strings.TrimPrefix(m[2], "handoff."), kind)
	if text := paragraphs(comment); text != "" {
		fmt.Fprintf(b, "\n%s\n", text)
	}
	if kind == "view" {
		call := m[2]
		if names := parameters(body); len(names) > 0 {
			call += "(" + strings.Join(names, ", ") + ")"
		}
		fmt.Fprintf(b, "\n```sql\nSELECT * FROM %s\n```\n", call)
		return
	}
	b.WriteString("\n| column | type | what it holds |\n|---|---|---|\n")
	for _, c := range columnOf.FindAllStringSubmatch(body, -1) {
		fmt.Fprintf(b, "| %s | `%s` | %s |\n", c[1], c[2], strings.ReplaceAll(c[3], "''", "'"))
	}
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
