package schemas

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func sample() *handoffv1.Record {
	return &handoffv1.Record{
		Id: SourceID("twilio", "acme", "+15557770000", "SM1"), Shop: "acme", Address: "+14155550001",
		Channel: handoffv1.Channel_CHANNEL_SMS, Account: "+15557770000", Conversation: "sms:+15557770000",
		ReceivedAt: timestamppb.New(time.UnixMilli(1_700_000_000_000)), SettingsVersion: 4,
		Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: "hi"}},
	}
}

func TestDecodeReadsWhatEncodeWrote(t *testing.T) {
	r := sample()
	value, err := Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(KeyOf(r).Bytes(), value)
	if err != nil || !proto.Equal(got, r) {
		t.Fatalf("read back %v, %v", got, err)
	}
	for range 20 {
		if again, _ := Encode(r); !bytes.Equal(again, value) {
			t.Fatal("the same record encodes to other bytes")
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for want, change := range map[string]func(*handoffv1.Record){
		"id has 3 bytes": func(r *handoffv1.Record) { r.Id = []byte("abc") },
		"id has 0 bytes": func(r *handoffv1.Record) { r.Id = nil },
		"filed under":    func(r *handoffv1.Record) { r.Address = "+1999" },
		"no received_at": func(r *handoffv1.Record) { r.ReceivedAt = nil },
		"no body":        func(r *handoffv1.Record) { r.Body = nil },
	} {
		r := sample()
		key := KeyOf(r).Bytes()
		change(r)
		value, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(key, value); !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), want) {
			t.Errorf("decoding gives %v, want a bad record with %q", err, want)
		}
	}
	if _, err := Decode(nil, []byte("\xff")); !errors.Is(err, ErrRecord) {
		t.Errorf("garbage gives %v", err)
	}
	bad := sample()
	bad.Account = "\xff"
	if _, err := Encode(bad); err == nil {
		t.Error("a record that is not UTF-8 encodes")
	}
}

func FuzzDecode(f *testing.F) {
	value, err := Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("acme|+14155550001"), value)
	f.Add([]byte("|"), []byte{})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r, err := Decode(key, value)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Fatalf("the error %v is not a bad record", err)
			}
			return
		}
		if len(r.GetId()) != IDSize || r.GetBody() == nil || KeyOf(r).String() != string(key) {
			t.Fatalf("decoded %v", r)
		}
	})
}

// The ids are part of the contract: a change of their derivation would act twice on everything in
// flight.
func TestIDsAreFixed(t *testing.T) {
	source := SourceID("twilio", "acme", "+15557770000", "SM1")
	for name, c := range map[string]struct {
		id   []byte
		want string
	}{
		"source": {source, "a5ab72f31cfa3a19f42a32a55b8d039d"},
		"effect": {EffectID(source, "classify", 1), "76e1271f92c292e7b0699dbad7776992"},
		"timer":  {TimerID([]byte("acme|+1"), "escalate", "lapse", time.UnixMilli(1_700_000_000_000)), "6a15837c58d188575c2c1afb04a4a7e1"},
	} {
		if got := HexID(c.id); got != c.want {
			t.Errorf("%s id is %s, want %s", name, got, c.want)
		}
	}
}

// Ids of different things differ, also where their parts run together alike.
func TestIDsDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringN(0, 6, -1)
		a := []string{part.Draw(t, "a0"), part.Draw(t, "a1"), part.Draw(t, "a2"), part.Draw(t, "a3")}
		b := []string{part.Draw(t, "b0"), part.Draw(t, "b1"), part.Draw(t, "b2"), part.Draw(t, "b3")}
		x, y := SourceID(a[0], a[1], a[2], a[3]), SourceID(b[0], b[1], b[2], b[3])
		same := a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3]
		if bytes.Equal(x, y) != same || len(x) != IDSize {
			t.Fatalf("%q is %x, %q is %x", a, x, b, y)
		}
		if bytes.Equal(EffectID(x, a[0], 0), EffectID(x, a[0], 1)) || bytes.Equal(EffectID(x, "a", 0), EffectID(x, "b", 0)) {
			t.Fatal("two effects have one id")
		}
	})
	if bytes.Equal(SourceID("ab", "c", "", ""), SourceID("a", "bc", "", "")) {
		t.Error("parts run together")
	}
}
