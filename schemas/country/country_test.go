package country

import "testing"

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
