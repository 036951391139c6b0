package corpus

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/schemas/tsv"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

// readAuthors returns the messages that people wrote for Handoff one by one, each author's in a file of its own
// under authors: a language, a label and a text a line, divided by tabs; # begins a comment. What a model makes
// of an author's messages that learned from the others only is what it will make of the next stranger's.
func (c *Corpus) readAuthors(here fs.FS) error {
	names, err := fs.Glob(here, "authors/*.tsv")
	if err != nil {
		return fmt.Errorf("authors: %w", err)
	}
	slices.Sort(names)
	for _, name := range names {
		document, err := fs.ReadFile(here, name)
		if err != nil {
			return fmt.Errorf("authors: %w", err)
		}
		messages, err := parseAuthor(path.Base(name), string(document))
		if err != nil {
			return err
		}
		c.add(Source{File: name, Credit: "written for Handoff", Messages: len(messages)}, document, messages)
	}
	return nil
}

// parseAuthor reads one author's messages. The error names the line.
func parseAuthor(name, document string) ([]Message, error) {
	labels := append(intent.All(), OptOut, WrongNumber, NotOptOut, None)
	var out []Message
	for line, columns := range tsv.Rows(document) {
		switch {
		case len(columns) != 3 || columns[2] == "":
			return nil, fmt.Errorf("%s line %d: want language, label, text, divided by tabs", name, line)
		case !slices.Contains(Languages(), columns[0]):
			return nil, fmt.Errorf("%s line %d: %q is none of the languages", name, line, columns[0])
		case !slices.Contains(labels, columns[1]):
			return nil, fmt.Errorf("%s line %d: there is no label %q", name, line, columns[1])
		}
		out = append(out, Message{
			Text: columns[2], Label: columns[1], Language: columns[0], Author: strings.TrimSuffix(name, ".tsv"),
		})
	}
	return out, nil
}
