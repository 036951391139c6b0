package shipped

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

//go:embed frames.tsv
var frameLines string

// frames finds the frames of frames.tsv: what many phrases have in common, without writing each of them out.
type frames struct {
	// starts are the choices of frames' first places, by their first two bytes.
	starts map[[2]byte][]start
}

// start is a choice of a frame's first place, and the rest of the frame.
type start struct {
	choice
	rest []place
	says words.Concept
}

// place is one place of a frame, with the choices for it; joined to the one before without a space.
type place struct {
	choices []choice
	joined  bool
}

// choice is a folded text, or the beginning of one.
type choice struct {
	text string
	stem bool
}

// readFrames reads the frames of a document. The error names the line.
func readFrames(document string, concept func(string) (words.Concept, bool)) (*frames, error) {
	f := &frames{starts: map[[2]byte][]start{}}
	for n, line := range strings.Split(document, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		columns := strings.Split(line, "\t")
		if len(columns) != 3 {
			return nil, fmt.Errorf("frames line %d: %d columns, want what, language, frames", n+1, len(columns))
		}
		says, ok := concept(columns[0])
		if !ok {
			return nil, fmt.Errorf("frames line %d: there is no %s", n+1, columns[0])
		}
		for pattern := range strings.SplitSeq(columns[2], "|") {
			places, err := placesOf(pattern)
			if err != nil {
				return nil, fmt.Errorf("frames line %d: %w", n+1, err)
			}
			for _, c := range places[0].choices {
				key := [2]byte{c.text[0], c.text[1]}
				f.starts[key] = append(f.starts[key], start{choice: c, rest: places[1:], says: says})
			}
		}
	}
	return f, nil
}

// placesOf reads one frame.
func placesOf(pattern string) ([]place, error) {
	var out []place
	joined := true
	for rest := pattern; rest != ""; {
		if after, ok := strings.CutPrefix(rest, " "); ok {
			rest, joined = after, false
			continue
		}
		inside, after := rest, ""
		if rest[0] == '(' {
			var ok bool
			if inside, after, ok = strings.Cut(rest[1:], ")"); !ok {
				return nil, fmt.Errorf("a bracket of %q is not closed", pattern)
			}
		} else if at := strings.IndexByte(rest, '('); at > 0 {
			inside, after = strings.TrimRight(rest[:at], " "), rest[at:]
			if rest[at-1] == ' ' {
				after = " " + after
			}
		}
		p := place{joined: joined}
		for text := range strings.SplitSeq(inside, "/") {
			bare, stem := strings.CutSuffix(text, "*")
			p.choices = append(p.choices, choice{text: strings.ReplaceAll(fold.String(bare), "\n", " "), stem: stem})
		}
		out, rest, joined = append(out, p), after, true
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("an empty frame")
	}
	for _, c := range out[0].choices {
		if len(c.text) < 2 {
			return nil, fmt.Errorf("%q begins with less than two letters", pattern)
		}
	}
	return out, nil
}

// find adds what the frames in a folded message say.
func (f *frames) find(s *words.Set, folded []byte) {
	inside := false
	for i := 0; i+1 < len(folded); {
		if folded[i] == ' ' || folded[i] == '\n' {
			inside = false
			i++
			continue
		}
		foreign := folded[i] >= utf8.RuneSelf
		if !inside || foreign {
			for _, b := range f.starts[[2]byte{folded[i], folded[i+1]}] {
				if !s.Has(b.says) && b.choice.stands(folded, i, b.rest) {
					s.Add(b.says)
				}
			}
		}
		inside = true
		size := 1
		if foreign {
			_, size = utf8.DecodeRune(folded[i:])
		}
		i += size
	}
}

// stands tells whether a choice stands at a place of the message, and the rest of its frame behind it.
func (c choice) stands(folded []byte, at int, rest []place) bool {
	if !bytes.HasPrefix(folded[at:], []byte(c.text)) {
		return false
	}
	at += len(c.text)
	if c.stem {
		for at < len(folded) && folded[at] != ' ' && folded[at] != '\n' {
			at++
		}
	}
	return follows(folded, at, rest)
}

// follows tells whether places follow at the end of what stands before them.
func follows(folded []byte, at int, rest []place) bool {
	if len(rest) == 0 {
		return ended(folded, at)
	}
	p := rest[0]
	next := at
	if !p.joined {
		if !ended(folded, at) {
			return false
		}
		if next++; next > len(folded) {
			next = len(folded)
		}
	}
	for _, c := range p.choices {
		if c.text == "" {
			if follows(folded, at, rest[1:]) {
				return true
			}
			continue
		}
		if !p.joined && (at >= len(folded) || folded[at] != ' ') {
			continue
		}
		if c.stands(folded, next, rest[1:]) {
			return true
		}
	}
	return false
}

// ended tells whether a word ends at a place: what stands before it is written without spaces, or what follows is
// no part of it.
func ended(folded []byte, at int) bool {
	if at == len(folded) || folded[at] == ' ' || folded[at] == '\n' {
		return true
	}
	r, _ := utf8.DecodeLastRune(folded[:at])
	return r >= 0x2e80
}
