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
	n := 1
	for ; lines.Scan(); n++ {
		line := strings.TrimRight(strings.TrimPrefix(lines.Text(), "\ufeff"), "\r")
		if strings.TrimSpace(line) == "" || n == 1 && heading(line) {
			continue
		}
		parts := strings.Split(strings.TrimRight(line, "\t "), "\t")
		switch {
		case len(parts) > 2:
			return nil, fmt.Errorf("%w: line %d: has %d columns: want a label and a text, divided by one tab", ErrTable, n, len(parts))
		case len(parts) < 2 || strings.TrimSpace(parts[0]) == "" || strings.TrimSpace(parts[1]) == "":
			return nil, fmt.Errorf("%w: line %d: want a label and a text, divided by a tab", ErrTable, n)
		case !utf8.ValidString(line):
			return nil, fmt.Errorf("%w: line %d: is not UTF-8", ErrTable, n)
		}
		columns[0] = append(columns[0], strings.TrimSpace(parts[0]))
		columns[1] = append(columns[1], strings.TrimSpace(parts[1]))
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%w: line %d: is longer than %d bytes", ErrTable, n, maxLine)
	case err != nil:
		return nil, fmt.Errorf("%w: line %d: %w", ErrTable, n, err)
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

// few is how many different messages a label has at least to be learned and measured.
const few = 5

// different tells whether each label has enough messages that are not the same. said is for people: messages that
// more than one label claims.
func (t *Table) different() (said string, err error) {
	label, of := map[string]string{}, map[string]int{}
	claimed, example := map[string]bool{}, ""
	for i, text := range t.Texts {
		switch first, seen := label[text]; {
		case !seen:
			label[text] = t.Labels[i]
			of[t.Labels[i]]++
		case first != t.Labels[i] && !claimed[text]:
			claimed[text] = true
			if example == "" {
				example = fmt.Sprintf("%q is %s and %s", text, first, t.Labels[i])
			}
		}
	}
	for _, l := range slices.Sorted(slices.Values(t.Labels)) {
		if !NoLabel(l) && of[l] < few {
			return "", fmt.Errorf("%w: %s has %d different messages that no label before it has; %d are the least, a hundred are a beginning", ErrTable, l, of[l], few)
		}
	}
	if len(claimed) > 0 {
		said = fmt.Sprintf("Messages with more than one label: %d, e.g. %s\n", len(claimed), example)
	}
	return said, nil
}
