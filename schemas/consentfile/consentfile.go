// Package consentfile reads what a platform knows of consent, from CSV or JSON lines, into the records
// that the consent stage takes (C14). Every error says the line and what is wrong with it.
package consentfile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Formats of a file.
const (
	CSV  = "csv"
	JSON = "json" // an object a line
)

// Columns of a file, in the order of the documentation; the first five are required.
func Columns() []string {
	return []string{"address", "channel", "status", "time", "source", "account", "scope", "text", "time_zone"}
}

// required is how many of Columns must be there.
const required = 5

// Row is one consent as files write it.
type Row struct {
	// Address is the subscriber: E.164 for phones.
	Address string `json:"address"`
	// Channel name, e.g. "sms".
	Channel string `json:"channel"`
	// Status is "subscribed", "unsubscribed", "pending" or "conversational".
	Status string `json:"status"`
	// Time since when it holds, RFC 3339.
	Time string `json:"time"`
	// Source is where the platform has it from.
	Source string `json:"source"`
	// Account that it is about; empty for all of the channel.
	Account string `json:"account,omitempty"`
	// Scope is "account", "channel" or "shop"; empty: the account where one is named, else the channel.
	Scope string `json:"scope,omitempty"`
	// Text that caused it.
	Text string `json:"text,omitempty"`
	// TimeZone of the person, IANA; empty where it is not known.
	TimeZone string `json:"time_zone,omitempty"`
}

// Error is a row that cannot be taken.
type Error struct {
	// Line of the file, from 1.
	Line int
	// Column that is wrong; empty for the row as a whole.
	Column string
	// Reason in words.
	Reason string
}

// Error says line, column and reason.
func (e *Error) Error() string {
	s := fmt.Sprintf("line %d", e.Line)
	if e.Column != "" {
		s += ", " + e.Column
	}
	return s + ": " + e.Reason
}

// For says on whose behalf a file is read.
type For struct {
	// Shop that it is of.
	Shop string
	// By is who imports it.
	By string
	// Now is when it was received: nothing may be dated later.
	Now time.Time
	// Settings is the version of the shop's settings to decide by.
	Settings uint64
	// Accounts are the shop's by those settings: a row about another account, or about a channel that none of
	// them is on, is bad. Nil: they are not known, and every account is taken.
	Accounts []settings.Account
}

// Read yields a file's rows as records for the consent stage, in order, or an *Error for a row that
// cannot be taken. Any other error ends it: the file cannot be read on.
func Read(r io.Reader, format string, of For) iter.Seq2[*handoffv1.Record, error] {
	return func(yield func(*handoffv1.Record, error) bool) {
		rows := csvRows
		if format == JSON {
			rows = jsonRows
		}
		for row, err := range rows(r) {
			var record *handoffv1.Record
			if err == nil {
				record, err = row.record(of)
			}
			if !yield(record, err) {
				return
			}
			var bad *Error
			if err != nil && !errors.As(err, &bad) {
				return
			}
		}
	}
}

// placed is a row and where it stands.
type placed struct {
	Row
	line int
}

// csvRows reads CSV with a header. Rows without any content, as spreadsheets leave them, are skipped.
func csvRows(r io.Reader) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		r, err := plainText(r)
		if err != nil {
			yield(placed{}, err)
			return
		}
		in := csv.NewReader(r)
		in.FieldsPerRecord = -1
		header, err := in.Read()
		if errors.Is(err, io.EOF) {
			yield(placed{}, fmt.Errorf("line 1: the file is empty; it begins with a header: %s", strings.Join(Columns(), ",")))
			return
		}
		if err != nil {
			yield(placed{}, fmt.Errorf("line 1: the header cannot be read: %w", err))
			return
		}
		header, err = readHeader(header)
		if err != nil {
			yield(placed{}, err)
			return
		}
		line := 1
		for {
			fields, err := in.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil && !slices.ContainsFunc(fields, func(f string) bool { return strings.TrimSpace(f) != "" }) {
				continue
			}
			if len(fields) > 0 { // else the reader knows of no field, and FieldPos panics
				line, _ = in.FieldPos(0)
			}
			var syntax *csv.ParseError
			switch {
			case errors.As(err, &syntax):
				err = badSyntax(syntax)
			case err != nil:
				err = fmt.Errorf("after line %d: %w", line, err)
			case len(fields) != len(header):
				err = &Error{Line: line, Reason: fmt.Sprintf("it has %d fields, the header has %d", len(fields), len(header))}
			}
			p := placed{line: line}
			for i := 0; err == nil && i < len(fields); i++ {
				*p.field(header[i]) = strings.TrimSpace(fields[i])
			}
			if !yield(p, err) {
				return
			}
		}
	}
}

// badSyntax says what is no CSV. A quote that is not closed takes the lines below it along.
func badSyntax(e *csv.ParseError) error {
	reason := "it is no CSV: " + e.Err.Error()
	if e.Line > e.StartLine {
		reason += fmt.Sprintf("; a quote is open up to line %d, and whatever rows are in it are left out", e.Line)
	}
	return &Error{Line: e.StartLine, Reason: reason}
}

// readHeader returns the names of the columns: spaces around them and capitals do not count.
func readHeader(header []string) ([]string, error) {
	header = slices.Clone(header)
	for i, name := range header {
		header[i] = strings.ToLower(strings.TrimSpace(name))
	}
	return header, checkHeader(header)
}

// bom begins a file as spreadsheets write it.
const bom = "\ufeff"

// plainText gives a file without its mark of UTF-8, behind which a quoted first column would be no CSV. What begins as
// no text does is refused with what it is, rather than with the columns that are not found in it.
func plainText(r io.Reader) (io.Reader, error) {
	in := bufio.NewReader(r)
	begins, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line 1: %w", err)
	}
	switch begins := string(begins); {
	case strings.HasPrefix(begins, bom):
		_, err = in.Discard(len(bom))
		return in, err
	case strings.HasPrefix(begins, "\xff\xfe"), strings.HasPrefix(begins, "\xfe\xff"):
		return nil, errors.New("line 1: the file is UTF-16; save it as UTF-8")
	case strings.HasPrefix(begins, "PK\x03\x04"), strings.HasPrefix(begins, "\xd0\xcf\x11\xe0"):
		return nil, errors.New("line 1: the file is a spreadsheet or an archive; save it as CSV")
	}
	return in, nil
}

func checkHeader(header []string) error {
	var problems []string
	if len(header) == 1 && strings.ContainsAny(header[0], ";\t") {
		return fmt.Errorf("line 1: the columns must be separated by commas; they are %s, the last %d may be left out",
			strings.Join(Columns(), ", "), len(Columns())-required)
	}
	if strings.Contains(strings.Join(header, ""), "\r") {
		return errors.New("line 1: its lines end in CR alone; save it with lines that end in LF or CR LF")
	}
	for i, name := range header {
		switch {
		case !slices.Contains(Columns(), name):
			problems = append(problems, fmt.Sprintf("there is no column %q", name))
		case slices.Contains(header[:i], name):
			problems = append(problems, fmt.Sprintf("column %q stands there twice", name))
		}
	}
	for _, name := range Columns()[:required] {
		if !slices.Contains(header, name) {
			problems = append(problems, fmt.Sprintf("column %q is missing", name))
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("line 1: %s; the columns are %s, the last %d may be left out",
			strings.Join(problems, "; "), strings.Join(Columns(), ", "), len(Columns())-required)
	}
	return nil
}

// field is the row's field of a column.
func (r *Row) field(column string) *string {
	return map[string]*string{
		"address": &r.Address, "channel": &r.Channel, "status": &r.Status, "time": &r.Time, "source": &r.Source,
		"account": &r.Account, "scope": &r.Scope, "text": &r.Text, "time_zone": &r.TimeZone,
	}[column]
}

// longestLine bounds a line of JSON, in bytes.
const longestLine = 1 << 20

// jsonRows reads an object a line; empty lines are skipped.
func jsonRows(r io.Reader) iter.Seq2[placed, error] {
	return func(yield func(placed, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		for n := 1; ; n++ {
			line, err := readLine(in)
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errLong) {
				yield(placed{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			last := errors.Is(err, io.EOF)
			if n == 1 {
				line = bytes.TrimPrefix(line, []byte(bom))
			}
			p := placed{line: n}
			var bad error
			switch {
			case errors.Is(err, errLong):
				bad = &Error{Line: n, Reason: fmt.Sprintf("it is longer than %d bytes", longestLine)}
			case len(bytes.TrimSpace(line)) == 0:
				if last {
					return
				}
				continue
			default:
				bad = p.decode(line)
			}
			if !yield(p, bad) || last {
				return
			}
		}
	}
}

// errLong: a line is longer than longestLine.
var errLong = errors.New("the line is too long")

// readLine reads up to the next line break, or the end: io.EOF comes with what is before it. Of a line that is too
// long nothing is kept.
func readLine(in *bufio.Reader) (line []byte, err error) {
	long := false
	for {
		part, err := in.ReadSlice('\n')
		if long = long || len(line)+len(part) > longestLine; !long {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case long && (err == nil || errors.Is(err, io.EOF)):
			return nil, errLong
		default:
			return line, err
		}
	}
}

// decode reads a line's object.
func (p *placed) decode(line []byte) error {
	if !utf8.Valid(line) {
		return &Error{Line: p.line, Reason: "it holds text that is not UTF-8"}
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var other *json.UnmarshalTypeError
	switch err := d.Decode(&p.Row); {
	case errors.As(err, &other) && other.Field == "":
		return &Error{Line: p.line, Reason: "a JSON " + other.Value + " stands there: an object a line"}
	case errors.As(err, &other):
		return &Error{Line: p.line, Reason: other.Field + " is a JSON " + other.Value + ", and not a text in quotation marks"}
	case err != nil:
		return &Error{Line: p.line, Reason: "it is no object with the known fields: " + strings.TrimPrefix(err.Error(), "json: ")}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &Error{Line: p.line, Reason: "something follows the object: an object a line"}
	}
	return nil
}
