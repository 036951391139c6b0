package gateway_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/schemas"
)

const operator = "Bearer " + token

// TestImportConsent: an authorised file is taken whole or not at all, unless good rows may go alone.
func TestImportConsent(t *testing.T) {
	const header = "address,channel,status,time,source\n"
	const good = "+14155550001,sms,subscribed,2026-01-01T00:00:00Z,checkout\n"
	w := start(t, nil)
	for _, c := range []struct {
		name, path, body, kind, authorization string
		status                                int
		says                                  string
		posted                                int
	}{
		{"csv", "/shops/acme/consent?by=Ann", header + good, "text/csv; charset=utf-8", operator, 202, `"taken":1`, 1},
		{"json", "/shops/acme/consent", `{"address":"+14155550001","channel":"sms","status":"pending","time":"2026-01-01T00:00:00Z","source":"x"}`, "application/json", operator, 202, `"taken":1`, 1},
		{"no token", "/shops/acme/consent", header + good, "text/csv", "", 401, "unsigned", 0},
		{"a wrong one", "/shops/acme/consent", header + good, "text/csv", "Bearer x", 403, "forged", 0},
		{"no such shop", "/shops/nobody/consent", header + good, "text/csv", operator, 404, "unknown_shop", 0},
		{"a bad row", "/shops/acme/consent", header + good + "4,sms,subscribed,2026-01-01T00:00:00Z,a\n", "text/csv", operator, 422, `"line":3,"path":"address"`, 0},
		{"a bad row left out", "/shops/acme/consent?skip_bad=true", header + good + "4,sms,subscribed,2026-01-01T00:00:00Z,a\n", "text/csv", operator, 202, `"line":3`, 1},
		{"no header", "/shops/acme/consent", good, "text/csv", operator, 400, `there is no column`, 0},
		{"a decision", "/shops/acme/consent/decisions", `{"address":"+14155550001","decision":"keep","by":"Ann"}`, "", operator, 202, `"taken":1`, 1},
		{"none", "/shops/acme/consent/decisions", `{"address":"+14155550001","decision":"maybe","by":"Ann"}`, "", operator, 400, `"place":"decision"`, 0},
		{"nobody's", "/shops/acme/consent/decisions", `{"address":"+14155550001","decision":"keep"}`, "", operator, 400, `"place":"by"`, 0},
		{"of nobody", "/shops/acme/consent/decisions", `{"decision":"keep","by":"Ann"}`, "", operator, 400, `"place":"address"`, 0},
		{"a link", "/shops/acme/consent/links", `{"address":"+14155550002","other":"+14155550001","by":"Ann"}`, "", operator, 202, `"taken":1`, 1},
		{"with itself", "/shops/acme/consent/links", `{"address":"+14155550001","other":"+14155550001","by":"Ann"}`, "", operator, 400, `cannot be linked with itself`, 0},
		{"with nobody", "/shops/acme/consent/links", `{"address":"+14155550001","by":"Ann"}`, "", operator, 400, `"place":"other"`, 0},
		{"a decision of a link", "/shops/acme/consent/links", `{"address":"+14155550001","other":"+14155550002","decision":"keep","by":"Ann"}`, "", operator, 400, `"place":"decision"`, 0},
		{"by nobody", "/shops/acme/consent/links", `{"address":"+14155550002","other":"+14155550001"}`, "", operator, 400, `"place":"by"`, 0},
		{"a link undone", "/shops/acme/consent/unlinks", `{"address":"+14155550002","by":"Ann","reason":"a typo"}`, "", operator, 202, `"taken":1`, 1},
		{"undone by nobody", "/shops/acme/consent/unlinks", `{"address":"+14155550002"}`, "", operator, 400, `"place":"by"`, 0},
		{"of nothing", "/shops/acme/consent/unlinks", `{"by":"Ann"}`, "", operator, 400, `"place":"address"`, 0},
		{"no object", "/shops/acme/consent/decisions", `[]`, "", operator, 400, `"place":"body"`, 0},
	} {
		before := w.posted()
		headers := []string{"Content-Type", c.kind}
		if c.authorization != "" {
			headers = append(headers, "Authorization", c.authorization)
		}
		got := w.post(c.path, c.body, headers...)
		if got.status != c.status || !strings.Contains(got.body, c.says) {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
		}
		if n := w.posted() - before; n != c.posted {
			t.Errorf("%s: %d records posted, want %d", c.name, n, c.posted)
		}
	}
}

// TestImportNotAcknowledged: what Kafka does not have is not taken.
func TestImportNotAcknowledged(t *testing.T) {
	w := start(t, nil)
	w.publisher.failWith(func(string) error { return errors.New("away") })
	got := w.post("/shops/acme/consent", `{"address":"+14155550001","channel":"sms","status":"pending","time":"2026-01-01T00:00:00Z","source":"x"}`, "Authorization", operator)
	if got.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// posted counts what went to consent.
func (w *world) posted() (n int) {
	for _, topic := range w.publisher.topics() {
		if topic == schemas.TopicConsent {
			n++
		}
	}
	return n
}
