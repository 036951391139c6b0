package sms_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/connectors/sms"
	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// TestEchoes: a message that left the account another way is told as such (H14); one that names a call is
// known by it.
func TestEchoes(t *testing.T) {
	const call = "00112233445566778899aabbccddeeff"
	body := `{"echoes": [
		{"id": "e1", "to": "+1 (415) 555-0123", "text": "It's Kim.", "name": "Kim", "sent_at": "2026-03-01T12:00:00Z",
		 "media": [{"url": "https://cdn.example/a.png", "content_type": "image/png"}]},
		{"id": "` + call + `", "to": "+14155550123", "text": "It ships tomorrow."}]}`
	got, err := sms.Webhook{}.Decode(&ingress.Request{Body: []byte(body)})
	if err != nil {
		t.Fatal(err)
	}
	want := []ingress.Event{
		{NativeID: "echo/e1", Record: &handoffv1.Record{Address: "+14155550123", EventTime: timestamppb.New(noon), Body: &handoffv1.Record_ChannelEcho{
			ChannelEcho: &handoffv1.ChannelEcho{NativeId: "e1", Text: "It's Kim.", Author: "Kim", Media: []*handoffv1.Media{{Url: "https://cdn.example/a.png", ContentType: "image/png"}}},
		}}},
		{NativeID: "echo/" + call, Record: &handoffv1.Record{Address: "+14155550123", Body: &handoffv1.Record_ChannelEcho{
			ChannelEcho: &handoffv1.ChannelEcho{NativeId: call, CallId: call, Text: "It ships tomorrow."},
		}}},
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for body, place := range map[string]string{
		`{"echoes": [{"to": "+14155550123", "text": "hi"}]}`:                                               "echoes[0].id",
		`{"echoes": [{"id": "e", "text": "hi"}]}`:                                                          "echoes[0].to",
		`{"echoes": [{"id": "e", "to": "Ann", "text": "hi"}]}`:                                             "echoes[0].to",
		`{"echoes": [{"id": "e", "to": "+14155550123"}]}`:                                                  "echoes[0].text",
		`{"echoes": [{"id": "e", "to": "+14155550123", "text": "hi", "sent_at": "noon"}]}`:                 "echoes[0].sent_at",
		`{"echoes": [{"id": "e", "to": "+14155550123", "media": [{"url": "a.png"}]}]}`:                     "echoes[0].media[0].url",
		`{"echoes": [{"id": "e", "to": "+14155550123", "text": 1}]}`:                                       "echoes[0].text",
		`{"echoes": [{"id": "e", "to": "+14155550123", "text": "hi"}, {"id": "f", "to": "+14155550123"}]}`: "echoes[1].text",
	} {
		_, err := sms.Webhook{}.Decode(&ingress.Request{Body: []byte(body)})
		if bad, ok := errors.AsType[*ingress.Malformed](err); !ok || bad.Place != place {
			t.Errorf("%s: %v, want %s", body, err, place)
		}
	}
}
