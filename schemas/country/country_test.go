package country

import (
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	for number, want := range map[string]string{
		"+14155550123": "US", "+17875550123": "US", "+14165550123": "CA", "+18765550123": "JM", "+447700900123": "GB",
		"+4915112345678": "DE", "+33612345678": "FR", "+79161234567": "RU", "+77011234567": "KZ", "+85221234567": "HK",
		"+3531234567": "IE", "+97150123456": "AE", "+37060012345": "LT",
		"+80012345678": "", "+99999999": "", "14155550123": "", "+1": "", "": "", "psid1": "",
	} {
		if got := Of(number); got != want {
			t.Errorf("%s: %q, want %q", number, got, want)
		}
	}
}

func TestKnown(t *testing.T) {
	for s, want := range map[string]bool{"US": true, "CA": true, "KZ": true, "DE": true, "": false, "us": false, "XX": false, "U": false, ":U": false} {
		if Known(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

// TestLists: entries are in the order of their codes, and each is found.
func TestLists(t *testing.T) {
	for _, list := range []string{callingCodes, areaCodes} {
		before := ""
		for at := 0; at < len(list); at += entrySize {
			code, name, ok := strings.Cut(list[at:at+entrySize], ":")
			code = strings.TrimSpace(code)
			if !ok || code <= before || codeIn(list, code) != strings.TrimSpace(name) {
				t.Errorf("entry %q behind %s is found as %q", list[at:at+entrySize], before, codeIn(list, code))
			}
			before = code
		}
	}
}
