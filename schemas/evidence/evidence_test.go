package evidence_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

var at = time.Date(2026, 3, 2, 10, 0, 0, 123e6, time.UTC)

func changes() []evidence.Change {
	key := schemas.Key{Shop: "acme", Address: "+14155550001"}
	return []evidence.Change{
		evidence.Of(key, &statev1.LedgerLine{
			Version: 1, At: timestamppb.New(at), Scope: "account:sms:+15557770000", Status: handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL,
			Source: handoffv1.ConsentSource_CONSENT_SOURCE_FIRST_MESSAGE, Text: "Hello", RecordId: "ab", Conversation: "sms:+15557770000",
		}),
		evidence.Of(key, &statev1.LedgerLine{
			Version: 2, At: timestamppb.New(at.Add(time.Hour)), Scope: "channel:sms", Prior: handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL,
			Status: handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED, Source: handoffv1.ConsentSource_CONSENT_SOURCE_KEYWORD, Keyword: "STOP", Text: "STOP",
		}),
	}
}

var secret = bytes.Repeat([]byte("k"), evidence.MinKey)

// TestHashOfAnExport: what was exported earlier, read back, has the hash; anything else about it has another.
func TestHashOfAnExport(t *testing.T) {
	want := evidence.Hash(secret, nil, changes())
	raw, err := json.Marshal(changes())
	if err != nil {
		t.Fatal(err)
	}
	var back []evidence.Change
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(evidence.Hash(secret, nil, back), want) {
		t.Error("an export that is read back has another hash")
	}
	for i := range reflect.TypeFor[evidence.Change]().NumField() {
		other := changes()
		switch f := reflect.ValueOf(&other[1]).Elem().Field(i); v := f.Interface().(type) {
		case string:
			f.SetString(v + "x")
		case uint64:
			f.SetUint(v + 1)
		case time.Time:
			f.Set(reflect.ValueOf(v.Add(time.Millisecond)))
		}
		if bytes.Equal(evidence.Hash(secret, nil, other), want) {
			t.Errorf("%s does not count", reflect.TypeFor[evidence.Change]().Field(i).Name)
		}
	}
	moved := changes()
	moved[0].Text, moved[0].By = "", "Hello"
	for name, got := range map[string][]byte{
		"another key":          evidence.Hash(append([]byte("x"), secret...), nil, changes()),
		"an earlier hash":      evidence.Hash(secret, []byte{1}, changes()),
		"fewer":                evidence.Hash(secret, nil, changes()[:1]),
		"text in another cell": evidence.Hash(secret, nil, moved),
	} {
		if bytes.Equal(got, want) {
			t.Errorf("%s: the same hash", name)
		}
	}
}
