package classifier

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/stages/classify"
	"github.com/handoff-dev/handoff/stages/classify/corpus"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

// Blind reads the messages of a blind set with the classifier that ships and writes totals only: whoever
// works on the classifier may run it and learns nothing of the texts. Not even an error shows one.
//
// dir holds optout.tsv and notoptout.tsv, of a language and a text a line, and intents.tsv, of a language, an
// intent and a text, divided by tabs. A file may be left out, but not all: figures of nothing look like good ones.
func Blind(dir string, report io.Writer) error {
	t, err := readBlind(dir)
	if err != nil {
		return err
	}
	return t.write(report, "blind messages of "+filepath.Base(dir))
}

// readBlind counts how the messages of a blind set are read.
func readBlind(dir string) (*tally, error) {
	stage, err := classify.New(classify.Config{})
	if err != nil {
		return nil, err
	}
	t := newTally(nil)
	found := 0
	for name, label := range map[string]string{"optout.tsv": corpus.OptOut, "notoptout.tsv": corpus.NotOptOut, "intents.tsv": ""} {
		messages, err := blindFile(filepath.Join(dir, name), label)
		if err != nil {
			return nil, err
		}
		found += len(messages)
		for _, m := range messages {
			t.read(stage, m)
		}
	}
	if found == 0 {
		return nil, fmt.Errorf("%w: %s has none of optout.tsv, notoptout.tsv and intents.tsv", ErrTable, dir)
	}
	return t, nil
}

// blindFile reads a file of a blind set; label is "" where the lines say it.
func blindFile(file, label string) ([]corpus.Message, error) {
	document, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("blind set: %w", err)
	}
	want := 2
	if label == "" {
		want = 3
	}
	var out []corpus.Message
	for n, line := range strings.Split(strings.TrimRight(string(document), "\n"), "\n") {
		columns := strings.SplitN(strings.TrimSuffix(line, "\r"), "\t", want)
		if len(columns) < want || !slices.Contains(corpus.Languages(), columns[0]) {
			return nil, fmt.Errorf("%w: %s line %d: want %d columns, the first a language", ErrTable, filepath.Base(file), n+1, want)
		}
		m := corpus.Message{Text: columns[want-1], Label: label, Language: columns[0], Held: true}
		if label == "" {
			if m.Label = columns[1]; !slices.Contains(intent.All(), m.Label) {
				return nil, fmt.Errorf("%w: %s line %d: its intent is none of those that ship", ErrTable, filepath.Base(file), n+1)
			}
		}
		out = append(out, m)
	}
	return out, nil
}
