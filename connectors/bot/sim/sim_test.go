package sim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/handoff-dev/handoff/connectors/bot"
	"github.com/handoff-dev/handoff/connectors/bot/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func do(t *testing.T, method, target, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	defer res.Body.Close()
	said, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(said)
}

func question(id, text string) string {
	b, _ := json.Marshal(bot.Question{Shop: "acme", TurnID: id, Messages: []bot.Message{{Author: "customer", Text: text}}})
	return string(b)
}

func TestContent(t *testing.T) {
	for text, want := range map[string]string{
		"Where's my ORDER?":            "on its way",
		"hi!":                          "help you",
		"are you open on Sunday":       "Monday to Saturday",
		"this shirt is broken":         "",
		"history lesson, nothing else": "", // no word of it is "hi"
	} {
		got := sim.FromContent(bot.Question{Messages: []bot.Message{
			{Author: "customer", Text: "hello"}, {Author: "customer", Text: text}, {Author: "bot", Text: "order"},
		}})
		if (want == "") != got.CannotAnswer || !strings.Contains(got.Reply, want) {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestQuestionsAndPages(t *testing.T) {
	s := sim.New(sim.Config{})
	server := httptest.NewServer(s)
	defer server.Close()
	defer s.Close()
	for range 2 {
		if status, said := do(t, http.MethodPost, server.URL+"/ask", question("t1", "<i>hi</i> hello")); status != 200 || !strings.Contains(said, `"reply"`) {
			t.Errorf("%d %s", status, said)
		}
	}
	for _, bad := range []string{"", "{}", `{"turn_id":"t2"}`, "nonsense"} {
		if status, _ := do(t, http.MethodPost, server.URL+"/ask", bad); status != http.StatusBadRequest {
			t.Errorf("%q: %d", bad, status)
		}
	}
	if all := s.Turns(); len(all) != 1 || all[0].Asked != 2 {
		t.Errorf("turns %+v", all)
	}
	if _, page := do(t, http.MethodGet, server.URL+"/", ""); !strings.Contains(page, "&lt;i&gt;hi") || strings.Contains(page, "<i>hi") || !strings.Contains(page, "2 times") {
		t.Errorf("page %s", page)
	}
	if _, all := do(t, http.MethodGet, server.URL+"/_received", ""); !strings.Contains(all, `"turn_id":"t1"`) {
		t.Errorf("received %s", all)
	}
}

func TestSignatureIsChecked(t *testing.T) {
	s := sim.New(sim.Config{Secret: "secret"})
	server := httptest.NewServer(s)
	defer server.Close()
	defer s.Close()
	if status, _ := do(t, http.MethodPost, server.URL+"/ask", question("t1", "hi")); status != http.StatusUnauthorized {
		t.Errorf("status %d", status)
	}
	if len(s.Turns()) != 0 {
		t.Error("an unsigned question was taken")
	}
}

func TestFaultsAreLimitedToAShopAndCount(t *testing.T) {
	s := sim.New(sim.Config{})
	server := httptest.NewServer(s)
	defer server.Close()
	defer s.Close()
	s.Inject(sim.Fault{Kind: sim.Down, Shop: "other"})
	s.Inject(sim.Fault{Kind: sim.Gone, Times: 1})
	var got []int
	for range 2 {
		status, _ := do(t, http.MethodPost, server.URL+"/ask", question("t1", "hi"))
		got = append(got, status)
	}
	if got[0] != http.StatusNotFound || got[1] != http.StatusOK {
		t.Errorf("statuses %v", got)
	}
	s.ClearFaults()
}
