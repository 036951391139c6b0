package schemas

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func TestParseKey(t *testing.T) {
	for in, want := range map[string]Key{
		"acme|+14155550001": {"acme", "+14155550001"},
		"acme|a|b":          {"acme", "a|b"},
	} {
		got, err := ParseKey([]byte(in))
		if err != nil || got != want || got.String() != in || string(got.Bytes()) != in {
			t.Errorf("ParseKey(%q) = %+v, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "acme", "|+1", "acme|", "|"} {
		if _, err := ParseKey([]byte(bad)); !errors.Is(err, ErrKey) {
			t.Errorf("ParseKey(%q) gives %v, want a bad key", bad, err)
		}
	}
}

func TestConversation(t *testing.T) {
	for n := range handoffv1.Channel_name {
		ch := handoffv1.Channel(n)
		if ch == handoffv1.Channel_CHANNEL_UNSPECIFIED {
			continue
		}
		if ChannelOf(ChannelName(ch)) != ch || ChannelTitle(ch) == "" {
			t.Errorf("channel %v is named %q, titled %q", ch, ChannelName(ch), ChannelTitle(ch))
		}
		id := Conversation(ch, "page:1")
		gotCh, account, err := ParseConversation(id)
		if err != nil || gotCh != ch || account != "page:1" {
			t.Errorf("ParseConversation(%q) = %v, %q, %v", id, gotCh, account, err)
		}
	}
	for _, bad := range []string{"", "sms", "sms:", "fax:1", ":1", "unspecified:1"} {
		if _, _, err := ParseConversation(bad); err == nil {
			t.Errorf("ParseConversation(%q) gives no error", bad)
		}
	}
}

func TestExternalIDReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Ticket{
			Key:          Key{Shop: rapid.StringMatching(`[A-Za-z0-9._-]{1,64}`).Draw(t, "shop"), Address: rapid.StringMatching(`[^\n]{1,20}`).Draw(t, "address")},
			Conversation: "sms:" + rapid.StringMatching(`[^\n]{1,20}`).Draw(t, "account"),
			Episode:      rapid.Uint64Min(1).Draw(t, "episode"),
		}
		got, err := ParseExternalID(want.ExternalID())
		if err != nil || got != want {
			t.Fatalf("%+v reads back as %+v, %v", want, got, err)
		}
		if strings.ContainsAny(want.ExternalID(), " \n/+=") {
			t.Fatalf("%q would have to be escaped", want.ExternalID())
		}
	})
}

func TestParseExternalIDRefuses(t *testing.T) {
	good := Ticket{Key: Key{"acme", "+1"}, Conversation: "sms:+2", Episode: 1}.ExternalID()
	for in, want := range map[string]string{
		"":                                   "does not begin",
		"other:abc:1":                        "does not begin",
		"handoff:abc":                        "has no episode",
		"handoff:%%:1":                       "base64url",
		"handoff:YWNtZXwrMQ:1":               "has no conversation",
		"handoff:YWJjCnNtczorMg:1":           "want shop|address",
		"handoff:YWNtZXwrMQpmYXg6MQ:1":       "want channel:account",
		strings.TrimSuffix(good, "1") + "0":  "number from 1",
		strings.TrimSuffix(good, "1") + "-1": "number from 1",
		strings.TrimSuffix(good, "1") + "":   "number from 1",
	} {
		if _, err := ParseExternalID(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseExternalID(%q) gives %v, want an error with %q", in, err, want)
		}
	}
}

func FuzzParseExternalID(f *testing.F) {
	f.Add(Ticket{Key: Key{"acme", "+14155550001"}, Conversation: "sms:+15557770000", Episode: 3}.ExternalID())
	f.Add("handoff::")
	f.Fuzz(func(t *testing.T, s string) {
		ticket, err := ParseExternalID(s)
		if err != nil {
			return
		}
		if again, err := ParseExternalID(ticket.ExternalID()); err != nil || again != ticket {
			t.Fatalf("%q is %+v, which reads back as %+v, %v", s, ticket, again, err)
		}
	})
}
