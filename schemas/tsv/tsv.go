// Package tsv reads the tables that are part of the program: words, rules, names, zones.
package tsv

import (
	"iter"
	"strings"
)

// Rows returns the lines of a table with their numbers, from 1, each as its columns, which tabs divide. Empty lines and
// those that begin with # are none.
func Rows(document string) iter.Seq2[int, []string] {
	return func(yield func(int, []string) bool) {
		line := 0
		for text := range strings.SplitSeq(document, "\n") {
			line++
			if text == "" || text[0] == '#' {
				continue
			}
			if !yield(line, strings.Split(text, "\t")) {
				return
			}
		}
	}
}
