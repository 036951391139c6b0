package settings

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Problem is one thing wrong with a settings document.
type Problem struct {
	// Line in the document, from 1; 0 when the problem has no place.
	Line int
	// Column in the line, from 1; 0 when the problem has no place.
	Column int
	// Path of the setting, e.g. "accounts[0].channel"; empty for the whole document.
	Path string
	// Reason, with what to do.
	Reason string

	// offset is how far into the value it is wrong, in characters.
	offset int
}

// String formats the problem as "line 4: accounts[0].channel: reason".
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Reason)
	return b.String()
}

// Error lists everything wrong with a settings document.
type Error struct {
	Problems []Problem
}

// Error returns one problem a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// In returns one problem a line as "file:line:column: path: reason", which editors jump to.
func (e *Error) In(file string) string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		where := file
		if p.Line > 0 {
			where += fmt.Sprintf(":%d:%d", p.Line, p.Column)
		}
		if p.Path != "" {
			where += ": " + p.Path
		}
		lines[i] = where + ": " + p.Reason
	}
	return strings.Join(lines, "\n")
}

// Parse reads one shop's document, refuses unknown keys, fills in defaults and checks the whole; also says what else
// is to be checked. The error is an *Error that says of everything that is wrong which line, why and what to do.
func Parse(document []byte, also ...func(*Shop) []Problem) (shop *Shop, err error) {
	// The YAML library panics on some documents that are none.
	defer func() {
		if r := recover(); r != nil {
			shop, err = nil, &Error{Problems: []Problem{{Reason: fmt.Sprintf("is not YAML that can be read: %v", r)}}}
		}
	}()
	return parse(document, also)
}

func parse(document []byte, also []func(*Shop) []Problem) (*Shop, error) {
	s, faults, err := decodeWhole(document)
	if errors.Is(err, io.EOF) {
		return nil, &Error{Problems: []Problem{{Reason: "the document is empty; it needs at least shop, name, support_contact and accounts"}}}
	}
	if err != nil {
		return nil, err
	}
	fillIn(s)
	problems := check(s)
	for _, more := range also {
		problems = append(problems, more(s)...)
	}
	problems = slices.DeleteFunc(problems, func(p Problem) bool { return faults.explain(p) })
	if len(problems)+len(faults.problems) == 0 {
		return s, nil
	}
	locate(document, problems)
	problems = append(problems, faults.problems...)
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path))
	})
	return nil, &Error{Problems: problems}
}

// Read decodes the one document of a YAML file of any kind. The error is an *Error that says where and why, or io.EOF
// when there is nothing in it.
func Read(document []byte, into any) (err error) {
	defer func() {
		if r := recover(); r != nil { // as in Parse
			err = &Error{Problems: []Problem{{Reason: fmt.Sprintf("is not YAML that can be read: %v", r)}}}
		}
	}()
	return decode(document, into)
}

// withoutMark is a document without the mark that some editors put before UTF-8; the YAML library takes it for a part
// of the first key.
func withoutMark(document []byte) []byte { return bytes.TrimPrefix(document, []byte("\xef\xbb\xbf")) }

func decode(document []byte, into any, options ...yaml.DecodeOption) error {
	document = withoutMark(document)
	if !utf8.Valid(document) {
		return &Error{Problems: []Problem{notUTF8(document)}}
	}
	dec := yaml.NewDecoder(bytes.NewReader(document), options...)
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return &Error{Problems: []Problem{syntaxProblem(document, err)}}
	}
	var more any
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return &Error{Problems: []Problem{{Reason: "there is more than one document; each has a file of its own"}}}
	}
	return nil
}

// notUTF8 is where a document is not.
func notUTF8(document []byte) Problem {
	at := 0
	for at < len(document) {
		r, n := utf8.DecodeRune(document[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	before := document[:at]
	begin := bytes.LastIndexByte(before, '\n') + 1
	return Problem{
		Line: bytes.Count(before, []byte{'\n'}) + 1, Column: utf8.RuneCount(before[begin:]) + 1,
		Reason: "is not UTF-8: save it as UTF-8",
	}
}

// Problems makes an *Error of what someone else found wrong with a parsed document, with the lines
// filled in from the paths.
func Problems(document []byte, problems []Problem) *Error {
	locate(document, problems)
	return &Error{Problems: problems}
}

// defaults are the values of settings whose zero value means something else.
func defaults() *Shop {
	return &Shop{
		Bot: "Shopper", Language: "en", TimeZone: "UTC", Mode: ModeEscalate,
		Active: true, SupportDetails: true, SMSCountries: []string{"US", "GB", "CA"},
		AutoReply:  Bot{Timeout: 10 * time.Second},
		Classifier: Classifier{Endpoint: endpoint{Format: "handoff", Timeout: 800 * time.Millisecond, SureFrom: 0.6}},
		Desk:       Desk{Poll: 10 * time.Minute},
		Handoff: Handoff{
			Intents:      []string{"cancel_order", "order_issue", "return_refund", "complaint", "human"},
			UnsureInARow: 2, SentimentBelow: -0.8,
			OfferLapses: 24 * time.Hour, OfferAgainAfter: 24 * time.Hour, PauseFor: 24 * time.Hour,
			Tag: "has_shopper_support_escalation", OnStop: "close", OutsideWindow: "drop",
			SegmentsNoted: 3, SegmentCredits: 1, MMSCredits: 3, MessageCredits: 1, Disclose: true,
		},
		Automation: Automation{
			ActionsPerRecord: 10, ReplyEvery: time.Hour, AnswerOnceWithin: 5 * time.Second,
			StopAfterTexts: 10, StopWithin: 10 * time.Minute, StopAfterSame: 3, ResumeAfter: time.Hour,
		},
		Consent: Consent{OptOutScope: "channel", ReplyRequires: "conversation", ConversationalFor: 7 * 24 * time.Hour, PossibleOptOutDays: 5, LedgerYears: 5, QuietHours: true},
	}
}

// fillIn completes what depends on other settings.
func fillIn(s *Shop) {
	for i := range s.Accounts {
		if s.Accounts[i].Limit.Requests > 0 && s.Accounts[i].Limit.Per == 0 {
			s.Accounts[i].Limit.Per = time.Second
		}
	}
	if s.Desk.Limit.Requests > 0 && s.Desk.Limit.Per == 0 {
		s.Desk.Limit.Per = time.Second
	}
}

// locate fills in the lines of problems from their paths; a path that is not in the document gets the
// line of its nearest parent that is.
func locate(document []byte, problems []Problem) {
	file, err := parser.ParseBytes(withoutMark(document), 0)
	if err != nil {
		return // the document was decoded before, so this cannot happen; lines stay 0
	}
	for i := range problems {
		for path := problems[i].Path; path != ""; path = parent(path) {
			if n := nodeAt(file, path); n != nil {
				problems[i].place(n, path == problems[i].Path)
				break
			}
		}
	}
}

// place says where a node stands; exact tells that the problem is in the node itself, so that its offset
// counts.
func (p *Problem) place(n ast.Node, exact bool) {
	t := n.GetToken()
	p.Line, p.Column = t.Position.Line, t.Position.Column
	if !exact || p.offset == 0 {
		return
	}
	if t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
		p.Column++
	}
	if !strings.ContainsAny(t.Origin, "\n|>") { // a text over several lines: its beginning will do
		p.Column += p.offset
	}
}

func nodeAt(file *ast.File, path string) ast.Node {
	p, err := yaml.PathString("$." + path)
	if err != nil {
		return nil
	}
	n, err := p.FilterFile(file)
	if err != nil || n == nil || n.GetToken() == nil {
		return nil
	}
	return n
}

func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i > 0 {
		return path[:i]
	}
	return ""
}
