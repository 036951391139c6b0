package corpus

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
)

// perPattern is how many messages are grown of a pattern.
const perPattern = 16

// Languages that the grammars speak, BCP 47.
func Languages() []string {
	return []string{"en", "es", "fr", "de", "pt", "it", "nl", "pl", "tr", "ja", "zh"}
}

// Source is a file that messages came from.
type Source struct {
	File, SHA256, Credit string
	Messages             int
}

// Corpus is all messages, and where they came from.
type Corpus struct {
	Messages []Message
	Sources  []Source
}

// Open grows the grammars under here ("grammar", the directory of this package) and reads the public
// sets in sets; nil leaves those out.
func Open(here, sets fs.FS, seed uint64) (*Corpus, error) {
	c := &Corpus{}
	names, err := fs.Glob(here, "grammar/*.txt")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no grammars: there is no grammar/*.txt")
	}
	slices.Sort(names)
	for i, name := range names {
		document, err := fs.ReadFile(here, name)
		if err != nil {
			return nil, fmt.Errorf("grammar: %w", err)
		}
		g, err := parse(strings.TrimPrefix(name, "grammar/"), string(document))
		if err != nil {
			return nil, err
		}
		grown := g.sentences(perPattern, rand.New(rand.NewPCG(seed, uint64(i))))
		c.add(Source{File: name, Credit: "written for Handoff", Messages: len(grown)}, document, grown)
	}
	if sets == nil {
		return c, nil
	}
	for _, p := range publicSets() {
		messages, err := p.read(sets)
		if err != nil {
			return nil, err
		}
		document, err := fs.ReadFile(sets, p.file)
		if err != nil {
			return nil, fmt.Errorf("public set: %w", err)
		}
		c.add(Source{File: p.file, Credit: p.credit, Messages: len(messages)}, document, messages)
	}
	return c, nil
}

func (c *Corpus) add(s Source, document []byte, messages []Message) {
	sum := sha256.Sum256(document)
	s.SHA256 = hex.EncodeToString(sum[:])
	c.Sources = append(c.Sources, s)
	c.Messages = append(c.Messages, messages...)
}

// Sets of messages that are written to judge by and never trained on. Held was written last, after
// everything else stood; one opt-out threshold went back to its first value for it. What Dev showed guided the
// choice of features.
const (
	Dev  = "dev"
	Held = "held"
	// Second is by a second author, who had not seen Handoff; read since, like Dev.
	Second = "second"
)

// Judge reads a set of messages to judge by: files of lines below a label and a language.
func Judge(here fs.FS, set string) ([]Message, error) {
	var out []Message
	names, err := fs.Glob(here, set+"/*.txt")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("nothing to judge by: there is no %s/*.txt", set)
	}
	slices.Sort(names)
	for _, name := range names {
		document, err := fs.ReadFile(here, name)
		if err != nil {
			return nil, fmt.Errorf("messages to judge by: %w", err)
		}
		label, language := "", ""
		for n, line := range strings.Split(string(document), "\n") {
			switch {
			case line == "" || line[0] == '#':
			case line[0] == '[':
				label, language, _ = strings.Cut(strings.Trim(line, "[]"), " ")
				if language == "" {
					language = "en"
				}
			case label == "":
				return nil, fmt.Errorf("%s line %d: a message before the first label", name, n+1)
			default:
				out = append(out, Message{Text: line, Label: label, Language: language, Family: name, Held: true})
			}
		}
	}
	return out, nil
}
