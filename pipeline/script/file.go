package script

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Step is one command of a script file, and what should have happened.
type Step struct {
	Command
	// Line of the command, from 1.
	Line int
	// Want is what stands below ----: what should have happened, a line each.
	Want string

	head []string // lines of the command as written, up to ----
	tail []string // lines after it as written, ---- and the empty line at the end included
}

// File is a script as it was written.
type File struct {
	Name  string
	Steps []Step

	before [][]string // comments and empty lines before each step, and after the last
}

// SyntaxError is a place at which a file is no script.
type SyntaxError struct {
	File string
	Line int
	Err  error
}

// Error tells where, why and what is allowed.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err) }

// Unwrap returns why.
func (e *SyntaxError) Unwrap() error { return e.Err }

// separator stands between a command and what it caused.
const separator = "----"

// Parse reads a script: the format of github.com/cockroachdb/datadriven, whose tests run the same
// files. Errors are *SyntaxError.
func Parse(name string, text []byte) (*File, error) {
	f := &File{Name: name}
	all := strings.ReplaceAll(strings.TrimPrefix(string(text), "\ufeff"), "\r\n", "\n") // as some editors write it
	r := &lines{all: strings.Split(strings.TrimSuffix(all, "\n"), "\n")}
	for i, line := range r.all {
		if !utf8.ValidString(line) {
			return nil, &SyntaxError{File: name, Line: i + 1, Err: fmt.Errorf("the line is not UTF-8: save the file as UTF-8")}
		}
	}
	known := vocabulary()
	for {
		var between []string
		for !r.ended() {
			line := strings.TrimSpace(r.peek())
			if line != "" && !strings.HasPrefix(line, "#") {
				break
			}
			between = append(between, r.next())
		}
		f.before = append(f.before, between)
		if r.ended() {
			break
		}
		s, err := r.step(known)
		if err != nil {
			return nil, &SyntaxError{File: name, Line: s.Line, Err: err}
		}
		f.Steps = append(f.Steps, s)
	}
	if len(f.Steps) == 0 {
		return nil, &SyntaxError{File: name, Line: 1, Err: fmt.Errorf("there is no command; a script begins like: customer, and on the next line what they wrote")}
	}
	return f, nil
}

// Render is the file with what happened in place of what should have, a string for each step. Steps at
// which both are the same stay as they were written.
func (f *File) Render(happened []string) []byte {
	var b bytes.Buffer
	write := func(lines []string) {
		for _, l := range lines {
			b.WriteString(l + "\n")
		}
	}
	for i, s := range f.Steps {
		write(f.before[i])
		write(s.head)
		if happened[i] == s.Want {
			write(s.tail)
			continue
		}
		b.WriteString(separator + "\n" + happened[i])
		if i+1 < len(f.Steps) || len(f.before[i+1]) > 0 {
			b.WriteString("\n")
		}
	}
	write(f.before[len(f.Steps)])
	return b.Bytes()
}

// lines are read one after another.
type lines struct {
	all []string
	at  int
}

func (r *lines) ended() bool  { return r.at >= len(r.all) }
func (r *lines) peek() string { return r.all[r.at] }

func (r *lines) next() string {
	r.at++
	return r.all[r.at-1]
}

// step reads a command, what is said, and what should have happened: up to an empty line, or between
// doubled separators, where empty lines may stand. Of an error s.Line is the place.
func (r *lines) step(known verbs) (s Step, err error) {
	s.Line = r.at + 1
	first := r.next()
	s.head = append(s.head, first)
	if s.Command, err = parseCommand(first); err != nil {
		return s, err
	}
	if _, ok := known[s.Name]; !ok {
		return s, known.unknown(s.Name)
	}
	for !r.ended() && r.peek() != separator {
		if known.begins(s.head[len(s.head)-1], r.peek()) {
			break
		}
		s.head = append(s.head, r.next())
	}
	s.Input = strings.TrimSpace(strings.Join(s.head[1:], "\n"))
	if r.ended() || r.peek() != separator {
		if at := almost(s.head); at > 0 {
			s.Line += at
			return s, fmt.Errorf("the line below %s is %q: write four dashes, %s, and no space before or behind them", s.Name, s.head[at], separator)
		}
		return s, fmt.Errorf("%s is not followed by a line of four dashes, %s, alone: below it stands what should happen, or nothing when that is to be filled in", s.Name, separator)
	}
	if _, err := known.check(s.Command); err != nil {
		return s, err
	}
	s.tail = append(s.tail, r.next())
	s.Want, err = r.want(&s)
	return s, err
}

// almost finds the line below a command that was meant to be the separator; 0 where there is none.
func almost(head []string) int {
	for i, line := range head {
		if dashes := strings.TrimSpace(line); i > 0 && len(dashes) > 1 && strings.Trim(dashes, "-—–") == "" {
			return i
		}
	}
	return 0
}

// begins tells whether a line after another one is the next command, so that the one being read was not
// ended.
func (v verbs) begins(before, line string) bool {
	c, err := parseCommand(line)
	if err != nil || strings.TrimSpace(before) != "" {
		return false
	}
	is, ok := v[c.Name]
	if ok && (is.text == needsText || is.text == textOrMedia) {
		c.Input = "something"
	}
	_, err = v.check(c)
	return ok && err == nil
}

func (r *lines) want(s *Step) (string, error) {
	var want strings.Builder
	doubled := !r.ended() && r.peek() == separator
	if doubled {
		s.tail = append(s.tail, r.next())
	}
	for !r.ended() {
		line := r.next()
		s.tail = append(s.tail, line)
		switch {
		case !doubled && strings.TrimSpace(line) == "":
			return want.String(), nil
		case doubled && line == separator && !r.ended() && r.peek() == separator:
			s.tail = append(s.tail, r.next())
			if r.ended() {
				return want.String(), nil
			}
			line = r.next()
			s.tail = append(s.tail, line)
			if line != "" {
				return "", fmt.Errorf("after the second pair of %s there must be an empty line", separator)
			}
			return want.String(), nil
		}
		want.WriteString(line + "\n")
	}
	if doubled {
		return "", fmt.Errorf("what should happen begins with two lines %s and must end with two", separator)
	}
	return want.String(), nil
}

// parseCommand reads "name word arg=value arg=(a value with spaces)".
func parseCommand(line string) (Command, error) {
	rest := strings.TrimSpace(line)
	c := Command{Args: map[string]string{}}
	c.Name, rest, _ = strings.Cut(rest, " ")
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		end := strings.IndexAny(rest, " =")
		if end < 0 || rest[end] == ' ' {
			word, after, _ := strings.Cut(rest, " ")
			c.Words, rest = append(c.Words, word), after
			continue
		}
		name := rest[:end]
		if name == "" {
			return c, fmt.Errorf("%q: the name before = is missing; write name=value", rest)
		}
		if _, twice := c.Args[name]; twice {
			return c, fmt.Errorf("%s= stands twice: leave one of them out", name)
		}
		rest = rest[end+1:]
		if !strings.HasPrefix(rest, "(") {
			c.Args[name], rest, _ = strings.Cut(rest, " ")
			continue
		}
		value, after, ok := parenthesis(rest)
		if !ok {
			return c, fmt.Errorf("%s=%s: the closing parenthesis is missing; a value with spaces is written name=(a value)", name, rest)
		}
		c.Args[name], rest = value, after
	}
	return c, nil
}

// parenthesis splits "(a (b) c) rest".
func parenthesis(s string) (inner, rest string, ok bool) {
	depth := 0
	for i, r := range s {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			return s[1:i], s[i+1:], true
		}
	}
	return "", "", false
}

// String is the command as a script has it, without what it causes.
func (c Command) String() string {
	var b strings.Builder
	b.WriteString(c.Name)
	for _, w := range c.Words {
		b.WriteString(" " + w)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Args)) {
		value := c.Args[name]
		if strings.ContainsAny(value, " ()") {
			value = "(" + value + ")"
		}
		b.WriteString(" " + name + "=" + value)
	}
	b.WriteString("\n")
	if c.Input != "" {
		b.WriteString(c.Input + "\n")
	}
	return b.String()
}
