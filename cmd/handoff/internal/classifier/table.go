// Package classifier is what `handoff classify`, `train` and `eval` do: read messages and labelled files,
// and write readings, models and reports.
package classifier

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxLine bounds one line of a file of labelled messages.
const maxLine = 1 << 20

// ErrTable marks a file of labelled messages that cannot be read.
var ErrTable = errors.New("labelled messages")

// Table is labelled messages.
type Table struct {
	Texts, Labels []string
}

// NoLabel tells the labels of messages that belong to none of the others.
func NoLabel(label string) bool {
	switch label {
	case "oos", "out_of_scope", "none":
		return true
	}
	return false
}

// ReadTable reads lines of a label and a text, in either order, divided by a tab; more columns are left
// out. Which column is the label shows by how few different ones there are. Empty lines and a first line
// "label text" are passed over. The error says which line and why.
func ReadTable(r io.Reader) (*Table, error) {
	var columns [2][]string
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 1<<16), maxLine)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(strings.TrimPrefix(lines.Text(), "\ufeff"), "\r")
		if strings.TrimSpace(line) == "" || n == 1 && heading(line) {
			continue
		}
		parts := strings.Split(line, "\t")
		switch {
		case len(parts) < 2 || strings.TrimSpace(parts[0]) == "" || strings.TrimSpace(parts[1]) == "":
			return nil, fmt.Errorf("%w: line %d: want a label and a text, divided by a tab", ErrTable, n)
		case !utf8.ValidString(line):
			return nil, fmt.Errorf("%w: line %d: is not UTF-8", ErrTable, n)
		}
		columns[0] = append(columns[0], strings.TrimSpace(parts[0]))
		columns[1] = append(columns[1], strings.TrimSpace(parts[1]))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: line %d: %w", ErrTable, len(columns[0])+1, err)
	}
	if len(columns[0]) == 0 {
		return nil, fmt.Errorf("%w: there are none", ErrTable)
	}
	if labelLike(columns[0]) <= labelLike(columns[1]) {
		return &Table{Labels: columns[0], Texts: columns[1]}, nil
	}
	return &Table{Labels: columns[1], Texts: columns[0]}, nil
}

func heading(line string) bool {
	switch strings.Join(strings.Split(strings.ToLower(line), "\t"), " ") {
	case "label text", "text label", "intent text", "text intent", "text category", "label message":
		return true
	}
	return false
}

// labelLike is the less, the more a column looks like labels: few different ones, without spaces.
func labelLike(column []string) float64 {
	different := map[string]struct{}{}
	spaces := 0
	for _, s := range column {
		different[s] = struct{}{}
		spaces += strings.Count(s, " ")
	}
	return float64(len(different))/float64(len(column)) + 0.1*float64(spaces)/float64(len(column))
}

// Classes lists the labels that messages have, in order, and the index of each message's; -1 for none of
// them.
func (t *Table) Classes() (labels []string, of []int) {
	for _, l := range t.Labels {
		if !NoLabel(l) {
			labels = append(labels, l)
		}
	}
	slices.Sort(labels)
	labels = slices.Compact(labels)
	for _, l := range t.Labels {
		i, found := slices.BinarySearch(labels, l)
		if !found {
			i = -1
		}
		of = append(of, i)
	}
	return labels, of
}
