package embedded

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzRequest: whatever arrives, the answer is a request that can be run as it
// is, or an error with a code; a setting's name can always stand in SQL.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "query=SELECT+1&param_x=1&max_threads=2", "", "gzip")
	f.Add("POST", "client_protocol_version=54485&default_format=Native&database=a%60b&compress=1", "gzip", "")
	f.Add("POST", "client_protocol_version=-1", "br", "deflate;q=0, gzip;q=0.5")
	f.Add("PUT", "%zz=1&session_id=&=&a;b", "identity", "*")
	f.Fuzz(func(t *testing.T, method, query, bodyEncoding, accept string) {
		header := http.Header{"Content-Encoding": {bodyEncoding}, "Accept-Encoding": {accept}}
		r, fault := parseRequest(method, query, header)
		if fault != nil {
			if fault.code <= 0 || !strings.HasPrefix(fault.text, "Code: ") {
				t.Fatalf("an error without a code: %+v", fault)
			}
			return
		}
		if r.format == "" || r.bodyEncoding != "" && r.bodyEncoding != "gzip" && r.bodyEncoding != "deflate" {
			t.Fatalf("cannot be run: %+v", r)
		}
		for name := range r.settings {
			if !settingName(name) {
				t.Fatalf("setting %q", name)
			}
		}
		s := scanner{text: setStatement(r.settings)}
		quoted := 0
		for tok := s.next(); tok.kind != tokenEnd; tok = s.next() {
			if tok.kind == tokenQuoted {
				quoted++
			}
		}
		if quoted != len(r.settings) {
			t.Fatalf("%d settings became %q", len(r.settings), setStatement(r.settings))
		}
	})
}

func TestQuotesCannotBeLeft(t *testing.T) {
	for _, s := range []string{"", "plain", "it's", `back\slash`, "`tick`", `\'`, "\\`", "new\nline"} {
		for _, quoted := range []string{quoteText(s), quoteName(s)} {
			sc := scanner{text: quoted}
			if tok := sc.next(); tok.kind != tokenQuoted || tok.end != len(quoted) {
				t.Errorf("%q becomes %s", s, quoted)
			}
		}
	}
}

func TestAcceptedEncoding(t *testing.T) {
	for accept, want := range map[string]string{
		"": "", "br": "", "gzip": "gzip", "deflate, gzip": "gzip", "deflate": "deflate", "gzip;q=0, deflate": "deflate", "gzip; q=0.5": "gzip",
	} {
		if got := acceptedEncoding(accept); got != want {
			t.Errorf("%q: %q, expected %q", accept, got, want)
		}
	}
}

func TestEngineErrors(t *testing.T) {
	for text, want := range map[string]int{
		"Code: 60. DB::Exception: Unknown table":        60,
		"Error: Code: 47. DB::Exception: x":             47,
		"something that is not ClickHouse's: Code: 12.": codeForeign,
		"": codeForeign,
	} {
		got := parseEngineError(text)
		if got.code != want || !strings.HasPrefix(got.text, "Code: ") {
			t.Errorf("%q: %+v, expected code %d", text, got, want)
		}
	}
}

func TestEveryArgumentHasAMeaning(t *testing.T) {
	r, fault := parseRequest("POST", url.Values{
		"query": {"SELECT 1"}, "database": {"d"}, "query_id": {"q"}, "compress": {"1"}, "decompress": {"true"},
		"network_compression_method": {"zstd"}, "param_p": {"v"}, "max_threads": {"1", "2"}, "user": {"u"},
	}.Encode(), http.Header{})
	if fault != nil {
		t.Fatal(fault)
	}
	if r.query != "SELECT 1" || r.database != "d" || r.queryID != "q" || !r.compress || !r.decompress || !r.zstd ||
		len(r.params) != 1 || r.settings["max_threads"] != "2" || len(r.settings) != 2 || r.readOnly {
		t.Errorf("read as %+v", r)
	}
}
