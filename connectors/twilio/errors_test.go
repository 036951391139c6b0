package twilio

import (
	"net/http"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller"
)

func TestErrorCodesAreSortedAndSayWhatTheyMean(t *testing.T) {
	for i, e := range errorCodes {
		if i > 0 && errorCodes[i-1].Code >= e.Code {
			t.Errorf("%d stands after %d", e.Code, errorCodes[i-1].Code)
		}
		if got, ok := LookupCode(e.Code); !ok || got != e {
			t.Errorf("LookupCode(%d) = %v %v", e.Code, got, ok)
		}
		if e.Meaning == "" {
			t.Errorf("%d means nothing", e.Code)
		}
	}
}

func TestFailure(t *testing.T) {
	cases := []struct {
		name     string
		status   int
		code     int
		after    string
		kind     caller.ErrorKind
		wantCode string
		wait     time.Duration
		optedOut bool
	}{
		{"opted out", 400, 21610, "", caller.Permanent, "21610", 0, true},
		{"bad number", 400, 21211, "", caller.Permanent, "21211", 0, false},
		{"not mobile", 400, 21614, "", caller.Permanent, "21614", 0, false},
		{"country", 403, 21408, "", caller.Permanent, "21408", 0, false},
		{"queue full", 400, 21611, "", caller.Limited, "21611", time.Second, false},
		{"too long", 400, 21617, "", caller.Permanent, "21617", 0, false},
		{"throttled, told how long", 429, 20429, "7", caller.Limited, "20429", 7 * time.Second, false},
		{"throttled, nonsense", 429, 20429, "soon", caller.Limited, "20429", time.Second, false},
		{"throttled number", 400, 14107, "", caller.Limited, "14107", time.Second, false},
		{"throttled channel", 400, 63018, "", caller.Limited, "63018", time.Second, false},
		{"token", 401, 20003, "", caller.Unauthorized, "20003", 0, false},
		{"unknown code, bad request", 400, 29999, "", caller.Permanent, "29999", 0, false},
		{"no code, 429", 429, 0, "3", caller.Limited, "429", 3 * time.Second, false},
		{"no code, 401", 401, 0, "", caller.Unauthorized, "401", 0, false},
		{"no code, 503 may have been taken", 503, 0, "", caller.Ambiguous, "503", 0, false},
		{"no code, 408 may have been taken", 408, 0, "", caller.Ambiguous, "408", 0, false},
		{"redirect", 302, 0, "", caller.Permanent, "302", 0, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			header := http.Header{}
			header.Set("Retry-After", c.after)
			e := failure(c.status, header, refusal{Code: c.code, Message: "said Twilio"})
			if e.Kind != c.kind || e.Code != c.wantCode || e.RetryAfter != c.wait || e.OptedOut != c.optedOut || e.Meaning == "" {
				t.Errorf("failure = %+v", e)
			}
		})
	}
}
