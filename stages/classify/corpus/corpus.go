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

// Open grows the grammars under here (the directory of this package), reads the authors' messages there and
// the public sets in sets; nil leaves those out.
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
	if err := c.readAuthors(here); err != nil {
		return nil, err
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
