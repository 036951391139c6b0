package embedded

import (
	"crypto/rand"
	"fmt"
	"regexp"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"unsafe"
)

// engineError is a failure that the engine itself reported.
type engineError struct {
	// code is ClickHouse's error code, 1001 (an exception that is not its
	// own) where the text names none.
	code int
	text string
}

func (e *engineError) Error() string { return e.text }

// ClickHouse's codes for what the child decides itself.
const (
	codeBadRequest     = 36 // BAD_ARGUMENTS
	codeNotImplemented = 48
	codeSyntaxError    = 62
	codeReadonly       = 164
	codeCancelled      = 394 // QUERY_WAS_CANCELLED
	codeAuthentication = 516
	codeForeign        = 1001 // an exception that is not ClickHouse's own
)

// failf makes an error in the engine's own form.
func failf(code int, format string, args ...any) *engineError {
	return &engineError{code: code, text: fmt.Sprintf("Code: %d. DB::Exception: %s", code, fmt.Sprintf(format, args...))}
}

// codePattern finds the code that ClickHouse puts before every message; the
// library may put a word of its own before it.
var codePattern = regexp.MustCompile(`^(?:[A-Za-z ]*:\s*)?Code:\s*(\d+)\.`)

// parseEngineError makes an error of the library's text.
func parseEngineError(text string) *engineError {
	text = strings.TrimSpace(text)
	if m := codePattern.FindStringSubmatch(text); m != nil {
		if code, err := strconv.Atoi(m[1]); err == nil && code > 0 {
			return &engineError{code: code, text: text[strings.Index(text, "Code:"):]}
		}
	}
	return &engineError{code: codeForeign, text: fmt.Sprintf("Code: %d. DB::Exception: %s", codeForeign, text)}
}

// engine is the booted engine of this process. Its root connection stays open
// for the process's life: closing the last one would shut the engine down.
type engine struct {
	lib  *library
	path string
	root unsafe.Pointer
}

// bootEngine starts the engine on a data directory that this process holds the
// lock of.
func bootEngine(lib *library, path string) (*engine, error) {
	e := &engine{lib: lib, path: path}
	root, err := lib.open(e.args()...)
	if err != nil {
		return nil, fmt.Errorf("boot the ClickHouse engine on %s: %w", path, err)
	}
	e.root = root
	return e, nil
}

// args are the options of every connection: those under which the library
// behaves as a server does.
func (e *engine) args() []string {
	return []string{"--path=" + e.path, "--implicit_select=0", "--allow_introspection_functions=0"}
}

// close shuts the engine down. No session may be open.
func (e *engine) close() error {
	e.lib.closeConn(e.root)
	if state := e.lib.shutdown(); state != 0 {
		return fmt.Errorf("the ClickHouse engine did not stop all its threads")
	}
	return nil
}

// session is one connection, for one request: settings, the current database
// and parameters belong to it and end with it. Not for concurrent use.
type session struct {
	lib    *library
	handle unsafe.Pointer // chdb_connection *
	// mark is the session's log_comment, by which its statement is found
	// when it has to be killed.
	mark string
}

// newSession opens a connection with settings and a current database.
// Unknown settings and unknown databases are the engine's errors.
func (e *engine) newSession(database string, settings map[string]string) (*session, error) {
	mark := "handoff-" + rand.Text()
	handle, err := e.lib.open(append(e.args(), "--log_comment="+mark)...)
	if err != nil {
		return nil, err
	}
	s := &session{lib: e.lib, handle: handle, mark: mark}
	if len(settings) > 0 {
		if _, err := s.query(setStatement(settings), "Null", nil); err != nil {
			s.close()
			return nil, err
		}
	}
	if database != "" && database != "default" {
		if _, err := s.query("USE "+quoteName(database), "Null", nil); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

// kill has the engine end the statement of a session, which is in the middle
// of a call that cannot be interrupted. A statement that carries a
// log_comment of its own is not found and runs to its end.
func (e *engine) kill(mark string) {
	s, err := e.newSession("", nil)
	if err != nil {
		return // the statement ends by itself
	}
	defer s.close()
	_, _ = s.query("KILL QUERY WHERE Settings['log_comment'] = "+quoteText(mark)+" ASYNC", "Null", nil) // as above
}

// setStatement builds one SET for all settings, in the order of their names.
func setStatement(settings map[string]string) string {
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	b.WriteString("SET ")
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name + " = " + quoteText(settings[name]))
	}
	return b.String()
}

// quoteText makes a SQL string literal.
func quoteText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// quoteName makes a quoted SQL identifier.
func quoteName(s string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(s) + "`"
}

func (s *session) close() { s.lib.closeConn(s.handle) }

// conn is what the library's calls take.
func (s *session) conn() unsafe.Pointer { return *(*unsafe.Pointer)(s.handle) }

// outcome is a finished statement: its output and what it counted.
type outcome struct {
	body        []byte
	rows, bytes uint64
	written     uint64
}

// query runs a statement to its end and returns the whole output in format
// unless the statement names one itself.
func (s *session) query(sql, format string, params []param) (outcome, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	q, qLen := cText(&pin, sql)
	f, fLen := cText(&pin, format)
	p := newCParams(&pin, params)
	r := s.lib.query(s.conn(), q, qLen, f, fLen, p.pNames, p.pNameLens, p.pValues, p.pValuesLens, uintptr(len(params)))
	defer runtime.KeepAlive(p)
	return s.lib.take(r)
}

// take copies a result's output and frees it.
func (l *library) take(r unsafe.Pointer) (outcome, error) {
	if r == nil {
		return outcome{}, parseEngineError("the engine returned no result")
	}
	defer l.resultDestroy(r)
	if text := l.resultError(r); text != nil {
		return outcome{}, parseEngineError(goText(text))
	}
	out := outcome{rows: l.resultRows(r), bytes: l.resultBytes(r), written: l.resultRowsWritten(r)}
	if n := l.resultLength(r); n > 0 {
		out.body = append([]byte(nil), unsafe.Slice((*byte)(l.resultBuffer(r)), n)...)
	}
	return out, nil
}

// statementClass is what a statement does to state that outlives it, as the
// engine's own parser says.
type statementClass uint32

// The classes, in the library's numbering.
const (
	classReadOnly statementClass = 0
	classUnknown  statementClass = 4
)

// classify reports how many statements a text holds and the most far-reaching
// class among them, without running anything.
func (s *session) classify(sql string) (statements int, class statementClass) {
	var report struct{ size, count, flags, class uint32 }
	report.size = uint32(unsafe.Sizeof(report))
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&report)
	q, qLen := cText(&pin, sql)
	if state := s.lib.classify(s.conn(), q, qLen, nil, 0, unsafe.Pointer(&report)); state != 0 {
		return 0, classUnknown
	}
	return int(report.count), statementClass(report.class)
}
