package embedded

import (
	"compress/gzip"
	"compress/zlib"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
)

// compressedFrame is how much output goes into one compressed block, in bytes.
const compressedFrame = 1 << 20

// response writes one statement's output. Nothing is sent before the first
// output or finish, so a failure until then is a proper error status.
type response struct {
	w       http.ResponseWriter
	req     *request
	format  string
	started bool
	// tag marks a genuine exception block inside a 200 response.
	tag string
	// out is w, through the encoding that was asked for.
	out     io.Writer
	encoder io.WriteCloser
	frames  *compress.Writer
}

func newResponse(w http.ResponseWriter, req *request, format string) *response {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails, says its documentation
	return &response{w: w, req: req, format: format, tag: hex.EncodeToString(random[:])}
}

// start sends the headers.
func (r *response) start() {
	r.started = true
	h := r.w.Header()
	h.Set("Content-Type", contentType(r.format))
	h.Set("X-ClickHouse-Format", r.format)
	h.Set("X-ClickHouse-Exception-Tag", r.tag)
	if r.req.queryID != "" {
		h.Set("X-ClickHouse-Query-Id", r.req.queryID)
	}
	r.out = r.w
	switch r.req.encoding {
	case "gzip":
		r.encoder = gzip.NewWriter(r.w)
	case "deflate":
		r.encoder = zlib.NewWriter(r.w)
	}
	if r.encoder != nil {
		h.Set("Content-Encoding", r.req.encoding)
		r.out = r.encoder
	}
	if r.req.compress {
		method := compress.LZ4
		if r.req.zstd {
			method = compress.ZSTD
		}
		r.frames = compress.NewWriter(compress.LevelZero, method)
	}
}

// Write sends output.
func (r *response) Write(p []byte) (int, error) {
	if !r.started {
		r.start()
	}
	if r.frames == nil {
		return r.out.Write(p)
	}
	for rest := p; len(rest) > 0; {
		n := min(len(rest), compressedFrame)
		if err := r.frames.Compress(rest[:n]); err != nil {
			return len(p) - len(rest), fmt.Errorf("compress the output: %w", err)
		}
		if _, err := r.out.Write(r.frames.Data); err != nil {
			return len(p) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(p), nil
}

// whole sends a statement's entire output, with what it counted as a header.
func (r *response) whole(o outcome) error {
	summary, err := json.Marshal(map[string]string{
		"read_rows":    strconv.FormatUint(o.rows, 10),
		"read_bytes":   strconv.FormatUint(o.bytes, 10),
		"written_rows": strconv.FormatUint(o.written, 10),
	})
	if err != nil {
		return fmt.Errorf("encode the summary: %w", err)
	}
	r.w.Header().Set("X-ClickHouse-Summary", string(summary))
	if len(o.body) == 0 {
		return nil
	}
	_, err = r.Write(o.body)
	return err
}

// finish ends a response that went well. Without output it is an empty 200,
// whose length clients look at.
func (r *response) finish() {
	if !r.started {
		if r.req.queryID != "" {
			r.w.Header().Set("X-ClickHouse-Query-Id", r.req.queryID)
		}
		r.w.Header().Set("Content-Length", "0")
		r.w.WriteHeader(http.StatusOK)
		return
	}
	if r.encoder != nil {
		_ = r.encoder.Close() // the client is gone; there is nobody to tell
	}
}

// fail reports an error: as a status while nothing was sent, as a framed
// exception block behind the output afterwards, as a server does.
func (r *response) fail(err *engineError) {
	if !r.started {
		writeError(r.w, http.StatusInternalServerError, err)
		return
	}
	text := strings.TrimRight(err.text, "\n")
	_, _ = fmt.Fprintf(r, "\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n", r.tag, text, len(text)+1, r.tag)
	r.finish()
}

// writeError sends an error that stands alone.
func writeError(w http.ResponseWriter, status int, err *engineError) {
	h := w.Header()
	h.Del("Content-Encoding")
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("X-ClickHouse-Exception-Code", strconv.Itoa(err.code))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, err.text+"\n")
}

// contentType names what a format is on the web.
func contentType(format string) string {
	switch {
	case strings.HasPrefix(format, "JSONEachRow"), strings.HasPrefix(format, "JSONCompactEachRow"):
		return "application/x-ndjson; charset=UTF-8"
	case strings.HasPrefix(format, "JSON"):
		return "application/json; charset=UTF-8"
	case strings.HasPrefix(format, "CSV"):
		return "text/csv; charset=UTF-8; header=absent"
	case strings.HasPrefix(format, "TabSeparated"), strings.HasPrefix(format, "TSV"):
		return "text/tab-separated-values; charset=UTF-8"
	case strings.HasPrefix(format, "Pretty"), format == "Vertical", format == "Markdown", format == "Values":
		return "text/plain; charset=UTF-8"
	}
	return "application/octet-stream"
}
