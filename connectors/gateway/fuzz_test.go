package gateway_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/connectors/gateway"
	"github.com/handoff-dev/handoff/schemas"
)

// FuzzRequest sends any path, query and header to a gateway: whoever cannot sign gets no success
// answer, no 500, and posts nothing.
func FuzzRequest(f *testing.F) {
	for _, path := range []string{
		channelPath, deskPath, channelPath + "/status/" + callID, "/shops/acme/settings", "/in/", "/in//acme/x",
		"/in/pigeon/acme/%2B15557770000", "/in/pigeon/acme/%2", "/in/pigeon/acme/%zz", "/in/pigeon/../acme/x", "/in/pigeon/acme/a%2Fb",
		"//in/pigeon/acme/x", "/in/pigeon/acme/" + shopNumber + "/", "/in/%70igeon/acme/x?%", "/%00", "*",
	} {
		f.Add(path, "", "")
		f.Add(path, "guess", "https, http")
	}
	w := start(f, nil)
	conn := &connection{address: strings.TrimPrefix(w.url, "http://")}
	f.Cleanup(func() { w.t = f })
	f.Fuzz(func(t *testing.T, path, signature, forwarded string) {
		w.t = t
		if strings.ContainsAny(path+signature+forwarded, "\r\n\x00 ") || signature == secretValue || signature == "panic" || path == "/healthz" || path == "/readyz" {
			t.Skip("not one request, or one that may succeed")
		}
		status := conn.post(t, path, "Pigeon-Signature: "+signature+"\r\nX-Forwarded-Proto: "+forwarded)
		if status < 300 || status >= 500 {
			t.Errorf("%q is answered %d", path, status)
		}
		if w.publisher.entered.Load() != 0 {
			t.Error("something was posted")
		}
	})
}

// FuzzEvents posts whatever a connector may make of a signed body: what is accepted can be decoded by
// the stages, under the key of its own shop.
func FuzzEvents(f *testing.F) {
	f.Add(hello("1"), false)
	f.Add(events(carried{ID: "1", Ticket: "9", External: ticketOf("acme", customer, "sms:"+shopNumber, 1)}), true)
	f.Add(events(carried{ID: "1", Ticket: "9", External: ticketOf("rival", customer, "sms:"+shopNumber, 1)}), true)
	f.Add(events(carried{ID: "1", Ticket: "9", External: ticketOf("acme", "a|b", "line:a|b", 1<<63)}), true)
	f.Add(events(carried{ID: "1", From: "x", To: otherNumber, State: "s", At: -1 << 62}), false)
	f.Add("[{}]", false)
	f.Add("[null]", true)
	w := start(f, func(c *gateway.Config) { c.ShopRate, c.ShopBurst = 1e9, 1e9 })
	f.Cleanup(func() { w.t = f })
	f.Fuzz(func(t *testing.T, body string, desk bool) {
		w.t = t
		if body == "panic" {
			t.Skip("the pigeon panics by itself")
		}
		path := channelPath
		if desk {
			path = deskPath
		}
		before := len(w.publisher.records(t))
		got := w.post(path, body)
		if got.status >= 500 {
			t.Errorf("%q is answered %+v", body, got)
		}
		records := w.publisher.records(t)[before:]
		if got.status >= 300 && len(records) > 0 {
			t.Errorf("%d records of a refused request", len(records))
		}
		for _, r := range records {
			if r.GetShop() != "acme" || r.GetSettingsVersion() != 7 || r.GetConversation() == "" || !r.GetReceivedAt().AsTime().Equal(noon.Truncate(time.Millisecond)) {
				t.Errorf("%v", r)
			}
			if _, _, err := schemas.ParseConversation(r.GetConversation()); err != nil {
				t.Error(err)
			}
		}
		w.publisher.forget()
	})
}

// connection writes raw requests, since http.Client would refuse or repair what is to be tried.
type connection struct {
	address string
}

// post sends one request on a connection of its own and returns the status.
func (c *connection) post(t *testing.T, path, header string) int {
	t.Helper()
	var dialer net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Length: 2\r\n%s\r\n\r\n[]", path, header); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", path, err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}
