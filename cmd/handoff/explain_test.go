package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline/explain"
)

// TestExplain: the story of a person is told from the log, whether stages run or not; what is asked wrongly
// is refused with what is right.
func TestExplain(t *testing.T) { stageRan(t).explain(t) }

func (h *inspected) explain(t *testing.T) {
	out, problems, code := h.at("explain", "acme", "+14155550001")
	if code != 0 {
		t.Fatal(problems)
	}
	for _, want := range []string{
		"in sms:+15557770000", ` UTC  The customer wrote: "STOP". Read as a STOP (by keyword STOP). [settings 1]`,
		"Consent became unsubscribed, it was unknown (channel:sms): keyword STOP.",
		`A text of Handoff that answers a keyword was to be sent (keyword STOP): "Acme: You're unsubscribed`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if !strings.HasSuffix(out, " UTC  A message of the customer's that came then is not read yet: classify has not come to it.\n") {
		t.Errorf("the message that no stage has read yet is not counted:\n%s", out)
	}
	if strings.Contains(out, "hello") {
		t.Errorf("a message that no stage has read yet is told:\n%s", out)
	}

	out, problems, code = h.at("explain", "acme", "sms:+15557770000|+14155550001", "--format", "json", "--since", "1h")
	if code != 0 {
		t.Fatal(problems)
	}
	kinds := map[string]bool{}
	for line := range strings.Lines(out) {
		var l explain.Line
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if l.Conversation != "sms:+15557770000" || l.Settings != 1 || !strings.HasPrefix(l.Place, "handoff.") || time.Since(l.At) > time.Hour {
			t.Errorf("line %+v", l)
		}
		kinds[l.Kind] = true
	}
	if !kinds["message"] || !kinds["consent"] || !kinds["text"] {
		t.Errorf("kinds %v", kinds)
	}

	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"acme", "+14155559999"}, exitFailed, "nothing is known of +14155559999 at acme"},
		{[]string{"acme", "sms:+15550000000|+14155550001"}, exitFailed, "has no conversation sms:+15550000000; there are sms:+15557770000"},
		{[]string{"acme", "telegraph|+14155550001"}, exitUsage, "telegraph"},
		{[]string{"acme", "+14155550001", "--since", "yesterday"}, exitUsage, `--since: not a time: "yesterday"; give how long ago (90m, 24h, 3d), a day`},
		{[]string{"acme", "+14155550001", "--since", "1h", "--until", "2d"}, exitUsage, "--since must be before --until"},
		{[]string{"acme", "+14155550001", "--until", "3d", "--format", "json"}, 0, "Nothing happened in that time."},
		{[]string{"acme", "+14155550001", "--until", "2h"}, 0, "Nothing happened in that time."},
	} {
		_, problems, code := h.at(append([]string{"explain"}, c.args...)...)
		if code != c.code || !strings.Contains(problems, c.want) {
			t.Errorf("explain %v: exit %d, %s; want %d, %s", c.args, code, problems, c.code, c.want)
		}
	}
}
