package analytics

import (
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// TestCounts: facts are counted by the numbers of their fields as they are by their kinds, and damaged ones do no
// harm.
func TestCounts(t *testing.T) {
	for _, c := range []struct {
		fact *handoffv1.Fact
		want counts
	}{
		{&handoffv1.Fact{Kind: &handoffv1.Fact_Message{Message: &handoffv1.MessageFact{Text: "hi"}}}, counts{messages: 1}},
		{&handoffv1.Fact{Kind: &handoffv1.Fact_Episode{Episode: &handoffv1.EpisodeFact{Episode: 10}}}, counts{episodes: 1}},
		{&handoffv1.Fact{Kind: &handoffv1.Fact_Consent{Consent: &handoffv1.ConsentFact{Scope: "shop"}}}, counts{consents: 1}},
		{&handoffv1.Fact{Kind: &handoffv1.Fact_Delivery{Delivery: &handoffv1.DeliveryFact{}}}, counts{deliveries: 1}},
		{&handoffv1.Fact{Kind: &handoffv1.Fact_Rule{Rule: &handoffv1.RuleFact{Rule: "r"}}}, counts{}},
		{&handoffv1.Fact{Reason: "no kind"}, counts{}},
	} {
		c.fact.Stage, c.fact.At = "test", timestamppb.Now()
		value, err := schemas.Encode(&handoffv1.Record{
			Id: make([]byte, schemas.IDSize), Shop: "acme", Address: "+1", ReceivedAt: timestamppb.Now(), SettingsVersion: 1,
			Consent: &handoffv1.ConsentStamp{Version: 3}, Body: &handoffv1.Record_Fact{Fact: c.fact},
		})
		if err != nil {
			t.Fatal(err)
		}
		var n counts
		if n.add(value); n != c.want {
			t.Errorf("%v counts as %+v, want %+v", c.fact, n, c.want)
		}
		for cut := range value {
			n = counts{}
			if n.add(value[:cut]); n != (counts{}) && n != c.want {
				t.Errorf("%v cut to %d bytes counts as %+v", c.fact, cut, n)
			}
		}
	}
}
