package standin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

// stubborn is a desk that knows two statuses and refuses whatever it is asked for.
type stubborn struct{ tickets []standin.Ticket }

func (d stubborn) Tickets() []standin.Ticket { return d.tickets }

func (stubborn) Statuses() []string { return []string{"open", "closed"} }

func (stubborn) Act(a standin.Action) (int64, error) {
	return 0, fmt.Errorf("ticket %d is closed for good", a.Ticket)
}

// The page of a desk offers what the desk takes, lists the newest ticket first, and says in words, on
// the same page, why something was not done.
func TestConsolePage(t *testing.T) {
	desk := stubborn{tickets: []standin.Ticket{
		{ID: 1, Subject: "First", Status: "closed", Requester: "+14155550123", Phone: "+14155550123"},
		{ID: 2, Subject: "Second", Status: "open", Requester: "Ann", Phone: "+14155550124"},
	}}
	console := standin.NewConsole("Desk", desk, nil, nil)
	ask := func(r *http.Request) (int, string) {
		w := httptest.NewRecorder()
		console.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	get := func(path string) (int, string) {
		return ask(httptest.NewRequest(http.MethodGet, path, nil))
	}

	code, page := get("/")
	if newest, oldest := strings.Index(page, "Second"), strings.Index(page, "First"); code != http.StatusOK || newest < 0 || newest > oldest {
		t.Errorf("list: %d, newest at %d, oldest at %d", code, newest, oldest)
	}
	code, page = get("/_tickets/1")
	if code != http.StatusOK || !strings.Contains(page, "<option selected>closed</option>") || strings.Contains(page, "pending") {
		t.Errorf("ticket 1: %d, want its status chosen and no status that the desk does not know:\n%s", code, page)
	}
	if strings.Contains(page, "+14155550123 +14155550123") {
		t.Error("ticket 1 shows the number twice")
	}
	if code, page = get("/_tickets/3"); code != http.StatusNotFound || !strings.Contains(page, "There is no ticket 3.") {
		t.Errorf("ticket 3: %d %s", code, page)
	}

	form := httptest.NewRequest(http.MethodPost, "/_agent/reply", strings.NewReader(url.Values{"page": {"1"}, "ticket": {"1"}, "text": {"Hi"}}.Encode()))
	form.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if code, page = ask(form); code != http.StatusUnprocessableEntity || !strings.Contains(page, "Not done: ticket 1 is closed for good.") || !strings.Contains(page, "First") {
		t.Errorf("refused reply: %d %s", code, page)
	}
	if _, page = ask(httptest.NewRequest(http.MethodGet, "/", nil)); !strings.Contains(page, "2 tickets") {
		t.Error("the list does not count its tickets")
	}
	one := standin.NewConsole("Desk", stubborn{tickets: desk.tickets[:1]}, nil, nil)
	w := httptest.NewRecorder()
	one.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if !strings.Contains(w.Body.String(), "1 ticket<") {
		t.Errorf("one ticket is counted as more:\n%s", w.Body)
	}
}
