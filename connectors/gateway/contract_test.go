package gateway

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// TestPosts gives the gateway an event of every kind of record, from a channel and from a desk: what
// becomes a posting is what Posts says.
func TestPosts(t *testing.T) {
	account := &settings.Account{Channel: "sms", Account: "+15557770000", Provider: "pigeon"}
	shop := &settings.Shop{Shop: "acme", Accounts: []settings.Account{*account}}
	ticket := schemas.Ticket{Key: schemas.Key{Shop: "acme", Address: "+15550001111"}, Conversation: "sms:+15557770000", Episode: 1}
	posted := map[string][]string{}
	bodies := (&handoffv1.Record{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range bodies.Len() {
		for n, of := range []*settings.Account{account, nil, nil} {
			r := &handoffv1.Record{Address: "+15550001111"}
			if n == 2 { // the platform names the account
				r.Channel, r.Account = handoffv1.Channel_CHANNEL_SMS, account.Account
			}
			m := r.ProtoReflect()
			m.Set(bodies.Get(i), m.NewField(bodies.Get(i)))
			x := &exchange{provider: "pigeon", platform: n == 2, req: ingress.Request{Shop: shop, Account: of, Now: time.Unix(1_700_000_000, 0)}}
			p, ours, err := x.complete(&ingress.Event{NativeID: "1", ExternalID: ticket.ExternalID(), Record: proto.CloneOf(r)})
			if err != nil || !ours || slices.Contains(posted[p.topic], turn.BodyName(p.record)) {
				continue
			}
			posted[p.topic] = append(posted[p.topic], turn.BodyName(p.record))
		}
	}
	for _, p := range webhookPosts() {
		got := posted[p.Topic]
		slices.Sort(got)
		if !slices.Equal(got, p.Bodies) {
			t.Errorf("to %s it posts %v, and says %v", p.Topic, got, p.Bodies)
		}
		delete(posted, p.Topic)
	}
	for topic, bodies := range posted {
		t.Errorf("it posts %v to %s, which it does not say", bodies, topic)
	}
}
