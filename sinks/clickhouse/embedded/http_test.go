package embedded_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// ask sends a plain HTTP request as curl would.
func ask(t *testing.T, method, target, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// TestPlainHTTP is what curl, dashboards and the tour in the README use.
func TestPlainHTTP(t *testing.T) {
	at := address(startEngine(t, ""))
	if code, text, _ := ask(t, "POST", at, "CREATE TABLE t (n Int32, s String) ENGINE = MergeTree ORDER BY n"); code != 200 || text != "" {
		t.Fatalf("%d %s", code, text)
	}
	args := func(kv ...string) string {
		v := url.Values{}
		for i := 0; i < len(kv); i += 2 {
			v.Set(kv[i], kv[i+1])
		}
		return at + "?" + v.Encode()
	}
	for _, c := range []struct {
		name, method, target, body string
		header                     []string
		code                       int
		text                       string // a part of the answer
	}{
		{"ping", "GET", at + "ping", "", nil, 200, "Ok.\n"},
		{"nothing asked", "GET", at, "", nil, 200, "Ok.\n"},
		{"query in the address", "GET", args("query", "SELECT 1 + 1"), "", nil, 200, "2\n"},
		{"query in the body", "POST", at, "SELECT 'a', 2", nil, 200, "a\t2\n"},
		{"query split over both", "POST", args("query", "SELECT 1,"), "2", nil, 200, "1\t2\n"},
		{"format", "POST", at, "SELECT 1 AS x FORMAT JSONEachRow", nil, 200, `{"x":1}` + "\n"},
		{"default format", "POST", args("default_format", "CSV"), "SELECT 1, 'b'", nil, 200, "1,\"b\"\n"},
		{"default format as a header", "POST", at, "SELECT 1 AS x", []string{"X-ClickHouse-Format", "JSONCompact"}, 200, `"rows": 1`},
		{"a box", "POST", at, "SELECT 1 AS x FORMAT PrettyCompact", nil, 200, "┌─x─┐"},
		{"a column called format", "POST", at, "SELECT 5 AS format", nil, 200, "5\n"},
		{"database", "GET", args("database", "system", "query", "SELECT count() > 10 FROM tables"), "", nil, 200, "1\n"},
		{"setting", "POST", args("max_threads", "3"), "SELECT getSetting('max_threads')", nil, 200, "3\n"},
		{"setting with a quote", "POST", args("insert_deduplication_token", `a'b\c`), "SELECT getSetting('insert_deduplication_token')", nil, 200, `a\'b\\c`},
		{"unknown setting", "POST", args("no_such", "3"), "SELECT 1", nil, 500, "Code: 115."},
		{"argument that is no setting", "POST", args("a b", "3"), "SELECT 1", nil, 400, "neither a parameter"},
		{"parameter", "GET", args("query", "SELECT {n:UInt8} * 2", "param_n", "21"), "", nil, 200, "42\n"},
		{"gzip wanted", "POST", args("enable_http_compression", "1"), "SELECT 1", []string{"Accept-Encoding", "br, gzip"}, 200, "\x1f\x8b"},
		{"values", "POST", at, "INSERT INTO t VALUES (1, 'it''s'), (2 + 3, lower('X'));", nil, 200, ""},
		{"data after the address's query", "POST", args("query", "INSERT INTO t FORMAT CSV"), "6,six\n7,\"a,b\"\n", nil, 200, ""},
		{"data after the address's query and a line end", "POST", args("query", "INSERT INTO t FORMAT Native\n"), "\x01\x01\x01n\x05Int32\x0a\x00\x00\x00", nil, 200, ""},
		{"data after the body's query", "POST", at, "INSERT INTO t (s, n) FORMAT JSONEachRow\n{\"n\": 8, \"s\": \"SELECT\"}\n", nil, 200, ""},
		{"insert select", "POST", at, "INSERT INTO t SELECT number + 100, 'x' FROM numbers(2)", nil, 200, ""},
		{"what is there", "POST", at, "SELECT count(), sum(n) FROM t", nil, 200, "8\t238\n"},
		{"malformed data", "POST", at, "INSERT INTO t FORMAT CSV\nx,y,z\n", nil, 500, "Code: "},
		{"reading method, writing statement", "GET", args("query", "DROP TABLE t"), "", nil, 500, "Code: 164."},
		{"reading method, insert", "GET", args("query", "INSERT INTO t VALUES (1, '')"), "", nil, 500, "Code: 164."},
		{"nothing to run", "POST", at, " ", nil, 400, "Empty query"},
		{"too long", "POST", at, "SELECT '" + strings.Repeat("x", 2<<20) + "'", nil, 500, "longer than"},
		{"session", "POST", args("session_id", "1"), "SELECT 1", nil, 400, "Code: 48."},
		{"wrong method", "DELETE", at, "", nil, 400, "not supported"},
		{"wrong path", "GET", at + "play", "", nil, 404, "/play"},
		{"a page of another site", "POST", at, "SELECT 1", []string{"Origin", "https://example.com"}, 403, "local programs only"},
		{"a name that points here", "POST", at, "SELECT 1", []string{"Host", "rebound.example.com"}, 403, "local programs only"},
		{"unreadable arguments", "POST", at + "?query=%zz", "", nil, 400, "Cannot read the query arguments"},
		{"unknown body encoding", "POST", at, "SELECT 1", []string{"Content-Encoding", "zstd"}, 400, "not supported"},
		{"broken gzip", "POST", at, "SELECT 1", []string{"Content-Encoding", "gzip"}, 400, "as gzip"},
		{"broken blocks", "POST", args("decompress", "1", "query", "INSERT INTO t FORMAT Native"), "no block at all, but long enough", nil, 400, "Cannot read the body"},
		{"external table", "POST", at, "x", []string{"Content-Type", "multipart/form-data; boundary=x"}, 400, "External tables"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, text, head := ask(t, c.method, c.target, c.body, c.header...)
			if code != c.code || !strings.Contains(text, c.text) {
				t.Errorf("status %d, %q; expected %d and %q", code, text, c.code, c.text)
			}
			if coded := head.Get("X-ClickHouse-Exception-Code") != ""; coded != (c.code != 200) {
				t.Errorf("status %d with exception code %q", code, head.Get("X-ClickHouse-Exception-Code"))
			}
		})
	}
}

// TestRefusedDataStillHearsWhy: a client that is in the middle of a large body
// gets the engine's error, not a broken connection.
func TestRefusedDataStillHearsWhy(t *testing.T) {
	at := address(startEngine(t, ""))
	big := strings.Repeat("1,some text of a row\n", 1<<20)
	for range 3 {
		code, text, _ := ask(t, "POST", at+"?query=INSERT+INTO+missing+FORMAT+CSV", big)
		if code != 500 || !strings.Contains(text, "Code: 60.") {
			t.Errorf("%d %s", code, text)
		}
	}
}

// TestHostileStatements: none of these may end the engine.
func TestHostileStatements(t *testing.T) {
	at := address(startEngine(t, ""))
	for name, body := range map[string]string{
		"parentheses":          strings.Repeat("(", 500_000),
		"nested queries":       strings.Repeat("SELECT * FROM (", 20_000),
		"nested arrays":        "SELECT " + strings.Repeat("[", 100_000),
		"bytes":                "\x00\xff\xfe SELECT \x00",
		"a NUL in a name":      "SELECT 1 AS `a\x00b`",
		"an open string":       "SELECT 'abc",
		"an open comment":      "/* SELECT 1",
		"a wide result":        "SELECT repeat('x', 1000000) FROM numbers(20)",
		"no memory":            "SELECT groupArray(number) FROM numbers(1000000000) SETTINGS max_memory_usage = 1000000",
		"an INSERT in a value": "INSERT INTO t VALUES (INSERT INTO t VALUES (1))",
		"a format with quotes": "SELECT 1 FORMAT 'JSON'",
	} {
		code, text, _ := ask(t, "POST", at+"?default_format=Native&client_protocol_version=54485", body)
		if code == 200 && strings.Contains(text, "DB::Exception") {
			t.Errorf("%s: an error under status 200: %.200s", name, text)
		}
		if code, text, _ := ask(t, "POST", at, "SELECT 1"); code != 200 || text != "1\n" {
			t.Fatalf("after %s: %d %s", name, code, text)
		}
	}
}

func TestGzippedBody(t *testing.T) {
	at := address(startEngine(t, ""))
	var body bytes.Buffer
	zw := gzip.NewWriter(&body)
	_, _ = io.WriteString(zw, "SELECT 40 + 2")
	_ = zw.Close()
	if code, text, _ := ask(t, "POST", at, body.String(), "Content-Encoding", "gzip"); code != 200 || text != "42\n" {
		t.Errorf("%d %q", code, text)
	}
}

// TestCutOffInsertCommitsNothing: a client that dies in the middle of its
// body must not leave the half that arrived as if it were the whole.
func TestCutOffInsertCommitsNothing(t *testing.T) {
	s := startEngine(t, "")
	at := address(s)
	if code, text, _ := ask(t, "POST", at, "CREATE TABLE t (n Int32) ENGINE = MergeTree ORDER BY n"); code != 200 {
		t.Fatal(text)
	}
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "POST /?query=INSERT+INTO+t+FORMAT+CSV HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n1\n2\n3\n")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn)
	_ = conn.Close()
	if strings.Contains(string(answer), "200 OK") {
		t.Errorf("a cut-off insert was acknowledged: %s", answer)
	}
	if _, text, _ := ask(t, "POST", at, "SELECT count() FROM t"); text != "0\n" {
		t.Errorf("%s rows of a cut-off insert are there", strings.TrimSpace(text))
	}
}
