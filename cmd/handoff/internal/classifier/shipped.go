package classifier

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/stages/classify/corpus"
	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/shipped"
	"github.com/handoff-dev/handoff/stages/classify/train"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

// Shipping is how the shipped model is made.
type Shipping struct {
	// Grammar is the directory of package corpus, Sets that of the public sets, Out that of package
	// shipped; "" only reports.
	Grammar, Sets, Out string
	Seed               uint64
	Report             io.Writer
	// Misses lists the messages that were read otherwise than they are labelled; nil for none.
	Misses io.Writer
	// Steps and Step are told of progress.
	Steps, Step func(int)
}

// ModelName is the shipped model's name and version; it grows when what it is made of changes what is
// read.
const ModelName = "handoff/1"

// TrainShipped trains the model that ships, reports how messages are read by models that had not learned from them,
// and writes the model with its provenance.
func TrainShipped(s Shipping) error {
	messages, sources, err := Messages(s.Grammar, s.Sets, s.Seed)
	if err != nil {
		return err
	}
	j, err := corpus.Job(ModelName, messages, s.Seed)
	if err != nil {
		return err
	}
	if j.Words, err = words.Shipped(); err != nil {
		return err
	}
	c := newCard(j, messages, s.Misses)
	j.Trial, j.Progress = c.trial, s.Step
	s.Steps(j.Steps())
	b, held, err := train.Train(j)
	if err != nil {
		return err
	}
	if err := c.write(s.Report); err != nil {
		return err
	}
	for _, h := range held {
		if h.Head.Clear != 0 {
			fmt.Fprintf(s.Report, "\n%s: taken from a score of %.3f, possible from %.3f\n", h.Head.Name, h.Head.Clear, h.Head.Possible)
		}
	}
	if s.Out == "" {
		return nil
	}
	return s.write(b, sources, len(j.Texts))
}

// Messages grows and reads all messages of the shipped model's training.
func Messages(grammar, sets string, seed uint64) ([]corpus.Message, []corpus.Source, error) {
	c, err := corpus.Open(os.DirFS(grammar), os.DirFS(sets), seed)
	if err != nil {
		return nil, nil, err
	}
	tones, err := c.Tones(words.Lexicon(), seed)
	if err != nil {
		return nil, nil, err
	}
	return append(c.Messages, tones...), c.Sources, nil
}

// write writes the model and where it comes from. A model that is the same keeps its date.
func (s Shipping) write(b []byte, sources []corpus.Source, messages int) error {
	file := filepath.Join(s.Out, "handoff.model")
	provenance := filepath.Join(s.Out, "PROVENANCE.tsv")
	_, missing := os.Stat(provenance)
	if old, err := os.ReadFile(file); err == nil && missing == nil && bytes.Equal(old, b) {
		fmt.Fprintf(s.Report, "\n%s is the same as before, byte for byte\n", file)
		return nil
	}
	var text strings.Builder
	sum := sha256.Sum256(b)
	fmt.Fprintf(&text, "handoff.model\t%s\tsha256 %s\n", ModelName, hex.EncodeToString(sum[:]))
	fmt.Fprintf(&text, "made by\tmake train DATA=<directory of the public sets>\tseed %d, %s\n", s.Seed, time.Now().UTC().Format(time.DateOnly))
	fmt.Fprintf(&text, "trained on\t%d messages\tthose of the files below, and the lexicon's words of praise and blame among them\n\n", messages)
	for _, src := range sources {
		fmt.Fprintf(&text, "%s\t%d messages\tsha256 %s\t%s\n", src.File, src.Messages, src.SHA256, src.Credit)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return err
	}
	return os.WriteFile(provenance, []byte(text.String()), 0o644)
}

// EvalShipped reads a table's messages with the classifier that ships and writes a report.
func EvalShipped(t *Table, report io.Writer) error {
	c, err := shipped.New()
	if err != nil {
		return err
	}
	labels := intent.All()
	unknown := 0
	outcomes := make([]Outcome, len(t.Texts))
	for i, text := range t.Texts {
		if !NoLabel(t.Labels[i]) && !slices.Contains(labels, t.Labels[i]) {
			unknown++
		}
		r := c.Read(text, "")
		outcomes[i] = Outcome{Want: slices.Index(labels, t.Labels[i]), Got: slices.Index(labels, r.Intent), Trust: r.Confidence, Outside: r.Unsure}
	}
	tellUnknown(report, unknown)
	return Report(report, labels, outcomes)
}
