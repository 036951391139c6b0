package embedded

import (
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/compress"
)

// maxQuery bounds a statement's text in bytes, data of an INSERT not counted.
const maxQuery = 1 << 20

// maxRefused bounds how much of a refused INSERT's data is read to its end, in
// bytes; a client with more may see its connection closed instead of the error.
const maxRefused = 256 << 20

// concurrentStatements is how many statements run at once; more wait. Each
// uses the engine's own threads, so few are enough to keep it busy.
const concurrentStatements = 16

// handler serves ClickHouse's HTTP interface from the engine.
type handler struct {
	engine   *engine
	password string
	slots    chan struct{}
}

func newHandler(e *engine, password string) *handler {
	return &handler{engine: e, password: password, slots: make(chan struct{}, concurrentStatements)}
}

// ServeHTTP answers one request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := sameOrigin(r); err != nil {
		writeError(w, http.StatusForbidden, err)
		return
	}
	switch r.URL.Path {
	case "/ping", "/replicas_status":
		_, _ = io.WriteString(w, "Ok.\n")
		return
	case "/", "/query":
	default:
		writeError(w, http.StatusNotFound, failf(codeBadRequest, "There is no handle %s; use / or /ping", r.URL.Path))
		return
	}
	if !h.allowed(r) {
		writeError(w, http.StatusUnauthorized, failf(codeAuthentication, "Authentication failed: the embedded engine was started with a password and the request's is another"))
		return
	}
	req, fault := parseRequest(r.Method, r.URL.RawQuery, r.Header)
	if fault != nil {
		writeError(w, http.StatusBadRequest, fault)
		return
	}
	h.statement(w, r, req)
}

// sameOrigin refuses what a browser sends for another site's page: a request
// with an Origin, and one whose Host is a name that was pointed at loopback.
func sameOrigin(r *http.Request) *engineError {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	if r.Header.Get("Origin") != "" || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return failf(codeAuthentication, "The embedded engine answers local programs only (Host %q, Origin %q)", r.Host, r.Header.Get("Origin"))
	}
	return nil
}

// allowed checks the password in any of the places a client may put it.
func (h *handler) allowed(r *http.Request) bool {
	if h.password == "" {
		return true
	}
	_, given, ok := r.BasicAuth()
	if !ok {
		given = r.Header.Get("X-ClickHouse-Key")
	}
	if given == "" {
		given = r.URL.Query().Get("password")
	}
	return subtle.ConstantTimeCompare([]byte(given), []byte(h.password)) == 1
}

// statement reads the text, waits for a slot and runs it.
func (h *handler) statement(w http.ResponseWriter, r *http.Request, req *request) {
	body, err := decodeBody(r.Body, req)
	if err != nil {
		writeError(w, http.StatusBadRequest, failf(codeBadRequest, "Cannot read the body: %v", err))
		return
	}
	text, rest, err := readText(req.query, body)
	if err != nil {
		writeError(w, http.StatusBadRequest, failf(codeBadRequest, "Cannot read the body: %v", err))
		return
	}
	if strings.TrimSpace(text) == "" {
		if req.readOnly {
			_, _ = io.WriteString(w, "Ok.\n")
			return
		}
		writeError(w, http.StatusBadRequest, failf(codeSyntaxError, "Empty query"))
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-r.Context().Done():
		return
	}
	s, err := h.engine.newSession(req.database, req.settings)
	if err != nil {
		writeError(w, http.StatusInternalServerError, asEngineError(err))
		return
	}
	defer s.close()
	killed := make(chan struct{})
	stop := context.AfterFunc(r.Context(), func() {
		defer close(killed)
		h.engine.kill(s.mark)
	})
	defer func() {
		if !stop() {
			<-killed
		}
	}()
	h.run(r.Context(), w, req, s, text, rest)
}

// run executes a statement on a session of its own and writes its output.
func (h *handler) run(ctx context.Context, w http.ResponseWriter, req *request, s *session, text string, rest io.Reader) {
	format := req.format
	if named, ok := outputFormat(text); ok {
		format = named
	}
	resp := newResponse(w, req, format)
	if err := h.execute(ctx, resp, s, text, rest); err != nil {
		resp.fail(asEngineError(err))
		return
	}
	resp.finish()
}

// execute picks the way a statement is run.
func (h *handler) execute(ctx context.Context, resp *response, s *session, text string, rest io.Reader) error {
	req := resp.req
	if ins, ok := splitInsert(text); ok {
		if req.readOnly {
			return errReadOnly()
		}
		data := io.MultiReader(strings.NewReader(text[ins.data:]), rest)
		o, err := s.insert(ctx, ins.head, ins.format, req.params, data)
		if err != nil {
			// A client reads no answer before it has sent its data.
			_, _ = io.CopyN(io.Discard, data, maxRefused)
			return err
		}
		return resp.whole(o)
	}
	if !exhausted(rest) {
		return failf(codeSyntaxError, "The statement is longer than %d bytes", maxQuery)
	}
	count, class := s.classify(text)
	if count > 1 {
		return failf(codeSyntaxError, "Multi-statements are not allowed")
	}
	if req.readOnly && class != classReadOnly && count > 0 { // what does not parse gets its own error
		return errReadOnly()
	}
	if class == classReadOnly && resp.format == "Native" && isSelect(text) {
		return s.stream(ctx, text, req.params, resp.native())
	}
	o, err := s.query(text, resp.format, req.params)
	if err != nil {
		return err
	}
	if resp.format == "Native" {
		if o.body, err = raiseRevision(nil, o.body, req.revision); err != nil {
			return err
		}
	}
	return resp.whole(o)
}

// native returns what takes blocks at revision 0 and sends them at the
// client's.
func (r *response) native() func([]byte) error {
	var buf []byte
	return func(chunk []byte) error {
		var err error
		if buf, err = raiseRevision(buf[:0], chunk, r.req.revision); err != nil {
			return failf(codeNotImplemented, "Cannot send this result as Native: %v", err)
		}
		_, err = r.Write(buf)
		return err
	}
}

func errReadOnly() error {
	return failf(codeReadonly, "A GET request must not change anything; send this statement with POST")
}

// asEngineError gives every failure the engine's form.
func asEngineError(err error) *engineError {
	var e *engineError
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return failf(codeCancelled, "The client went away: %v", err)
	}
	return failf(codeForeign, "%v", err)
}

// readText joins the address's text and the start of the body, as a server
// does, and returns what is left of the body.
func readText(query string, body io.Reader) (text string, rest io.Reader, err error) {
	head := make([]byte, 4096)
	n := 0
	for {
		var more int
		more, err = fill(body, head[n:])
		n += more
		if err != nil || n >= maxQuery {
			break
		}
		head = append(head, make([]byte, min(len(head), maxQuery-len(head)))...)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", nil, err
	}
	if query != "" && n > 0 {
		// Exactly one line end: a second one would be the data's first byte.
		query = strings.TrimRight(query, " \t\r\n") + "\n"
	}
	return query + string(head[:n]), body, nil
}

// exhausted says whether nothing is left to read.
func exhausted(r io.Reader) bool {
	var one [1]byte
	n, err := fill(r, one[:])
	return n == 0 && errors.Is(err, io.EOF)
}

// decodeBody undoes the body's Content-Encoding and ClickHouse's own blocks.
func decodeBody(body io.Reader, req *request) (io.Reader, error) {
	switch req.bodyEncoding {
	case "gzip":
		zr, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("as gzip: %w", err)
		}
		body = zr
	case "deflate":
		zr, err := zlib.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("as deflate: %w", err)
		}
		body = zr
	}
	if req.decompress {
		body = &blockReader{src: body}
	}
	return body, nil
}

// blockReader reads ClickHouse's compressed blocks. It tells the end of the
// body between two blocks from one inside a block.
type blockReader struct {
	src    io.Reader
	blocks *compress.Reader
	// taken counts the bytes of the body that the current Read consumed; one
	// Read opens at most one block.
	taken int
	// err is kept: after an error ch-go's reader gives its last block again.
	err error
}

// Read implements io.Reader.
func (b *blockReader) Read(p []byte) (int, error) {
	if b.blocks == nil {
		b.blocks = compress.NewReader(readerFunc(func(p []byte) (int, error) {
			n, err := b.src.Read(p)
			b.taken += n
			return n, err
		}))
	}
	if b.err != nil {
		return 0, b.err
	}
	b.taken = 0
	n, err := b.blocks.Read(p)
	switch {
	case errors.Is(err, io.EOF) && b.taken == 0:
		b.err = io.EOF
	case errors.Is(err, io.EOF):
		b.err = io.ErrUnexpectedEOF
	default:
		b.err = err
	}
	return n, b.err
}

// httpServer wraps the handler with bounds on slow and oversized clients.
// Statements themselves may take as long as their max_execution_time; the end
// of ctx kills them.
func httpServer(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    4 << 20,
	}
}
