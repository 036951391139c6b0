package httpcall_test

import (
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve answers with handler and gives its URL and a client for it.
func serve(t *testing.T, handler http.HandlerFunc) (*http.Client, string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return httpcall.NewClient(transport), server.URL
}

func get(t *testing.T, client *http.Client, url string, most int64) (*httpcall.Answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/?token=hidden", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return httpcall.Do(client, req, "the other", most)
}

// wantError fails unless err is of that kind and names no URL.
func wantError(t *testing.T, err error, kind caller.ErrorKind) {
	t.Helper()
	e, ok := errors.AsType[*caller.Error](err)
	if !ok || e.Kind != kind || !strings.HasPrefix(e.Meaning, "the other") {
		t.Fatalf("error %v, want one of kind %d that names the other side", err, kind)
	}
	if strings.Contains(err.Error(), "hidden") {
		t.Errorf("error %v shows the URL", err)
	}
}

func TestDo(t *testing.T) {
	client, url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	answer, err := get(t, client, url, 100)
	if err != nil || answer.Status != http.StatusFound || answer.OK() || !strings.Contains(string(answer.Body), "/elsewhere") {
		t.Errorf("answer %+v, %v; want the redirect itself", answer, err)
	}
}

func TestDoUnreachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	answer, err := get(t, httpcall.NewClient(nil), url, 100)
	wantError(t, err, caller.Retryable)
	if answer != nil {
		t.Errorf("answer %+v, want none", answer)
	}
}

func TestDoCutOff(t *testing.T) {
	client, url := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	answer, err := get(t, client, url, 100)
	wantError(t, err, caller.Ambiguous)
	if answer != nil {
		t.Errorf("answer %+v, want none", answer)
	}
}

func TestDoBreaksOff(t *testing.T) {
	client, url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("half"))
	})
	answer, err := get(t, client, url, 100)
	wantError(t, err, caller.Ambiguous)
	if answer == nil || !answer.OK() || string(answer.Body) != "half" {
		t.Errorf("answer %+v, want what came of it", answer)
	}
}

func TestDoTooLarge(t *testing.T) {
	client, url := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("12345")) })
	if _, err := get(t, client, url, 5); err != nil {
		t.Errorf("exactly as much: %v", err)
	}
	answer, err := get(t, client, url, 4)
	wantError(t, err, caller.Ambiguous)
	if !errors.Is(err, httpcall.ErrTooLarge) || string(answer.Body) != "1234" {
		t.Errorf("answer %s, %v; want the beginning and ErrTooLarge", answer.Body, err)
	}
}

func TestJSON(t *testing.T) {
	client, url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch r.URL.Path {
		case "/made":
			_, _ = w.Write([]byte(`{"said": "` + user + password + r.Header.Get("Key") + r.Header.Get("Content-Type") + `"}`))
		case "/odd":
			_, _ = w.Write([]byte("<html>"))
		default:
			http.Error(w, "no", http.StatusConflict)
		}
	})
	call := httpcall.JSON{
		Method: http.MethodPost, URL: url + "/made", User: "u", Password: "p", Header: map[string]string{"Key": "k"}, Who: "the other",
		Refused: func(a *httpcall.Answer) *caller.Error {
			return &caller.Error{Kind: caller.Permanent, Meaning: "the other refused", Err: &httpcall.Refusal{Answer: a}}
		},
	}
	var out struct{ Said string }
	if answer, err := call.Do(t.Context(), client, &out); err != nil || answer.Status != http.StatusOK || out.Said != "upk" {
		t.Errorf("without a body: %q, %v", out.Said, err)
	}
	call.Body = map[string]int{"n": 1}
	if _, err := call.Do(t.Context(), client, &out); err != nil || out.Said != "upkapplication/json" {
		t.Errorf("with a body: %q, %v", out.Said, err)
	}
	call.URL = url + "/odd"
	_, err := call.Do(t.Context(), client, &out)
	wantError(t, err, caller.Ambiguous)
	if _, err := call.Do(t.Context(), client, nil); err != nil {
		t.Errorf("an answer that nobody reads: %v", err)
	}
	call.URL = url + "/refused"
	answer, err := call.Do(t.Context(), client, &out)
	wantError(t, err, caller.Permanent)
	if answer.Status != http.StatusConflict || httpcall.StatusOf(err) != http.StatusConflict || !strings.Contains(err.Error(), "HTTP 409: no") {
		t.Errorf("refused with %d, %v; want 409 and what was said", answer.Status, err)
	}
	if status := httpcall.StatusOf(errors.New("other")); status != 0 {
		t.Errorf("status %d of another error, want 0", status)
	}
	call.URL = "http://[hidden"
	_, err = call.Do(t.Context(), client, &out)
	wantError(t, err, caller.Permanent)
	call.Body = math.NaN()
	_, err = call.Do(t.Context(), client, &out)
	wantError(t, err, caller.Permanent)
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, " 1.5 ": 1500 * time.Millisecond, "0": time.Second,
		"": time.Minute, "-3": time.Minute, "NaN": time.Minute, "1e300": time.Minute, "soon": time.Minute,
	} {
		got, told := httpcall.RetryAfter(http.Header{"Retry-After": {value}}, time.Minute)
		if got != want || told != (want != time.Minute) {
			t.Errorf("Retry-After %q: %v, told %v; want %v", value, got, told, want)
		}
	}
}

func TestCheckBaseURL(t *testing.T) {
	for base, ok := range map[string]bool{
		"https://shop.example.com": true, "http://127.0.0.1:8080": true, "http://localhost": true, "http://[::1]:80": true,
		"http://shop.example.com": false, "ftp://127.0.0.1": false, "shop.example.com": false, "": false, "https://": false, "http://[": false,
	} {
		if err := httpcall.CheckBaseURL(base); (err == nil) != ok {
			t.Errorf("%q: %v, want ok %v", base, err, ok)
		}
	}
}

func TestIDs(t *testing.T) {
	ids := httpcall.NewIDs(2)
	for i := range 5 {
		ids.Put(strconv.Itoa(i), int64(i))
	}
	for name, want := range map[string]bool{"4": true, "3": true, "2": true, "1": false, "0": false} {
		if id, ok := ids.Get(name); ok != want || ok && strconv.FormatInt(id, 10) != name {
			t.Errorf("%s: %d, %v; want known %v", name, id, ok, want)
		}
	}
	if !ids.Forget("2") || ids.Forget("2") || ids.Forget("none") {
		t.Error("Forget must tell whether the name was known")
	}
	if _, ok := ids.Get("2"); ok {
		t.Error("a forgotten name is known")
	}
}
