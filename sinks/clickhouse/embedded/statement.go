package embedded

import "strings"

// tokenKind is what a piece of SQL text is, as far as splitting needs it.
type tokenKind int

const (
	tokenEnd    tokenKind = iota
	tokenWord             // a bare word: keyword, identifier or number
	tokenQuoted           // a quoted identifier, string literal or heredoc
	tokenSymbol           // any other single byte
)

// token is a piece of the text and where it stands.
type token struct {
	kind       tokenKind
	start, end int
}

// scanner cuts ClickHouse SQL into tokens, skipping space and comments. It
// never fails: what is not closed reaches to the end of the text.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) word(t token) string { return s.text[t.start:t.end] }

// is says whether t is the bare word w, in any case.
func (s *scanner) is(t token, w string) bool {
	return t.kind == tokenWord && strings.EqualFold(s.word(t), w)
}

func (s *scanner) symbol(t token, c byte) bool {
	return t.kind == tokenSymbol && s.text[t.start] == c
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// next returns the token at the current position and moves past it.
func (s *scanner) next() token {
	s.skip()
	start := s.pos
	if start >= len(s.text) {
		return token{tokenEnd, len(s.text), len(s.text)}
	}
	switch c := s.text[start]; {
	case c == '\'' || c == '"' || c == '`':
		s.quoted(c)
		return token{tokenQuoted, start, s.pos}
	case c == '$' && s.heredoc():
		return token{tokenQuoted, start, s.pos}
	case isWordByte(c):
		for s.pos < len(s.text) && isWordByte(s.text[s.pos]) {
			s.pos++
		}
		return token{tokenWord, start, s.pos}
	}
	s.pos++
	return token{tokenSymbol, start, s.pos}
}

// skip moves over white space and comments (--, #!, "# " and /* */).
func (s *scanner) skip() {
	for s.pos < len(s.text) {
		rest := s.text[s.pos:]
		switch {
		case strings.IndexByte(" \t\r\n\f\v", rest[0]) >= 0:
			s.pos++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "#!"), strings.HasPrefix(rest, "# "):
			s.until("\n")
		case strings.HasPrefix(rest, "/*"):
			s.pos += 2
			s.until("*/")
		default:
			return
		}
	}
}

// until moves behind the next mark, or to the end.
func (s *scanner) until(mark string) {
	if i := strings.Index(s.text[s.pos:], mark); i >= 0 {
		s.pos += i + len(mark)
		return
	}
	s.pos = len(s.text)
}

// quoted moves behind the closing quote; a backslash and a doubled quote
// both escape.
func (s *scanner) quoted(quote byte) {
	for s.pos++; s.pos < len(s.text); s.pos++ {
		switch s.text[s.pos] {
		case '\\':
			s.pos++
		case quote:
			if s.pos+1 < len(s.text) && s.text[s.pos+1] == quote {
				s.pos++
				continue
			}
			s.pos++
			return
		}
	}
	s.pos = len(s.text)
}

// heredoc moves behind $tag$ … $tag$ where one starts here.
func (s *scanner) heredoc() bool {
	end := s.pos + 1
	for end < len(s.text) && isWordByte(s.text[end]) {
		end++
	}
	if end >= len(s.text) || s.text[end] != '$' {
		return false
	}
	tag := s.text[s.pos : end+1]
	closing := strings.Index(s.text[end+1:], tag)
	if closing < 0 {
		return false
	}
	s.pos = end + 1 + closing + len(tag)
	return true
}

// isSelect says whether a statement starts as a SELECT does. The library
// streams the results of those only, not of SHOW, DESCRIBE or EXPLAIN.
func isSelect(sql string) bool {
	s := scanner{text: sql}
	t := s.next()
	for s.symbol(t, '(') {
		t = s.next()
	}
	return s.is(t, "SELECT") || s.is(t, "WITH")
}

// outputFormat returns the format that a statement names for its output with
// a last FORMAT clause, and whether it names one. SETTINGS may follow it.
func outputFormat(sql string) (string, bool) {
	s := scanner{text: sql}
	depth, name := 0, ""
	for prev := (token{}); ; {
		t := s.next()
		switch {
		case t.kind == tokenEnd:
			return name, name != ""
		case s.symbol(t, '('), s.symbol(t, '['), s.symbol(t, '{'):
			depth++
		case s.symbol(t, ')'), s.symbol(t, ']'), s.symbol(t, '}'):
			depth--
		case depth == 0 && s.is(prev, "FORMAT") && t.kind == tokenWord:
			if s.endsFormat() {
				name = s.word(t)
			}
		}
		prev = t
	}
}

// endsFormat says whether what follows the current position can follow a
// FORMAT clause: nothing, a semicolon, or SETTINGS.
func (s *scanner) endsFormat() bool {
	ahead := *s
	t := ahead.next()
	return t.kind == tokenEnd || ahead.symbol(t, ';') || ahead.is(t, "SETTINGS")
}

// insertion is an INSERT whose data follows its text.
type insertion struct {
	// head is the statement without FORMAT clause, VALUES and data.
	head string
	// format is the data's.
	format string
	// data is where the data starts in the text.
	data int
}

// splitInsert finds the head, the format and the start of the data of an
// INSERT that carries data. It says no for every other statement: a SELECT,
// an INSERT … SELECT, an INSERT FROM INFILE. Without FORMAT and VALUES the
// data is taken as Values, as a server does.
func splitInsert(text string) (insertion, bool) {
	s := scanner{text: text}
	if !s.is(s.next(), "INSERT") {
		return insertion{}, false
	}
	t := s.next()
	if s.is(t, "INTO") {
		t = s.next()
	}
	if s.is(t, "TABLE") && !s.followedByTarget() {
		t = s.next()
	}
	if s.is(t, "FUNCTION") {
		s.next()
	}
	s.target()
	for depth := 0; ; {
		t = s.next()
		switch {
		case t.kind == tokenEnd:
			return insertion{head: text, format: "Values", data: len(text)}, true
		case s.symbol(t, '('):
			if depth == 0 && s.selectAhead() {
				return insertion{}, false
			}
			depth++
		case s.symbol(t, ')'):
			depth--
		case depth > 0:
		case s.symbol(t, ';'):
			return insertion{}, false
		case s.is(t, "SELECT"), s.is(t, "WITH"), s.is(t, "FROM"), s.is(t, "WATCH"):
			return insertion{}, false
		case s.is(t, "VALUES"):
			return insertion{head: text[:t.start], format: "Values", data: t.end}, true
		case s.is(t, "FORMAT"):
			return s.insertFormat(text[:t.start])
		}
	}
}

// followedByTarget says whether the word TABLE just read is itself the
// table's name: then what follows opens no other name.
func (s *scanner) followedByTarget() bool {
	ahead := *s
	t := ahead.next()
	return t.kind != tokenQuoted && (t.kind != tokenWord || ahead.is(t, "FORMAT") || ahead.is(t, "VALUES"))
}

// target moves behind the rest of a table's name (.b of a.b), whose first
// part was read.
func (s *scanner) target() {
	for {
		ahead := *s
		if !ahead.symbol(ahead.next(), '.') {
			return
		}
		ahead.next()
		*s = ahead
	}
}

// selectAhead says whether a parenthesis just opened holds a query.
func (s *scanner) selectAhead() bool {
	ahead := *s
	t := ahead.next()
	for ahead.symbol(t, '(') {
		t = ahead.next()
	}
	if !ahead.is(t, "SELECT") && !ahead.is(t, "WITH") {
		return false
	}
	t = ahead.next() // a column may have that name
	return !ahead.symbol(t, ',') && !ahead.symbol(t, ')')
}

// insertFormat reads the name after FORMAT. The data starts behind it, after
// blanks and one line end.
func (s *scanner) insertFormat(head string) (insertion, bool) {
	name := s.next()
	if name.kind != tokenWord {
		return insertion{}, false
	}
	ahead := *s
	if t := ahead.next(); ahead.is(t, "SETTINGS") && !strings.Contains(s.text[name.end:t.start], "\n") {
		return insertion{}, false
	}
	at := name.end
	for at < len(s.text) && (s.text[at] == ' ' || s.text[at] == '\t' || s.text[at] == '\f') {
		at++
	}
	if at < len(s.text) && s.text[at] == '\r' {
		at++
	}
	if at < len(s.text) && s.text[at] == '\n' {
		at++
	}
	return insertion{head: head, format: s.word(name), data: at}, true
}
