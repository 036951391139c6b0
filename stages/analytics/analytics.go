// Package analytics turns the facts of the analytics topic into rows. It reads
// `handoff.analytics`, to which every stage reports, and emits nothing: the
// sink stores what [Rows] makes of a range, exactly once.
//
// It is pure: the same records make the same rows, so a range that is written
// again is the same as the first time. [Schema] names the version of that.
package analytics

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/reuse"
	"github.com/handoff-dev/handoff/schemas/rows"
)

// Schema is the version of how records become rows. It grows with every
// change by which a stored range would be written differently.
const Schema = 1

// Rows maps records to rows, one each, in their order. A record that holds no
// fact becomes a rejected row with the reason. Rows share the records' memory: they are valid as long as it is.
func Rows(records []pipeline.Record) rows.Batch {
	var in reuse.Rooms
	b := expect(records, &in).batch()
	for i := range records {
		read(&records[i], &in).add(&b)
		in.Reset() // rows have what they need of it
	}
	return b
}

// fact is one record, and what it holds or why it holds none.
type fact struct {
	in     *pipeline.Record
	record *handoffv1.Record
	fact   *handoffv1.Fact
	bad    string
}

// read decodes a record.
func read(in *pipeline.Record, rooms *reuse.Rooms) fact {
	r := reuse.Zero[handoffv1.Record](rooms)
	if err := schemas.DecodeInto(r, in.Key, in.Value, rooms); err != nil {
		return fact{in: in, bad: err.Error()}
	}
	body, ok := r.GetBody().(*handoffv1.Record_Fact)
	if !ok {
		return fact{in: in, bad: "the record holds no fact"}
	}
	return fact{in: in, record: r, fact: body.Fact}
}

// counts is how many rows the largest tables get: rows are large, and growing their lists copies them.
type counts struct{ messages, episodes, consents, deliveries int }

// sampled is of how many records one is looked at to know what the others are, about. It is a prime: what people do
// makes the same few facts again and again, and each must have its turn.
const sampled = 17

// expect counts some of the records, and takes the others for like them.
func expect(records []pipeline.Record, rooms *reuse.Rooms) counts {
	var n counts
	for i := 0; i < len(records); i += sampled {
		n.add(read(&records[i], rooms))
		rooms.Reset()
	}
	more := func(of int) int { return min(len(records), of*sampled*9/8+sampled) }
	return counts{more(n.messages), more(n.episodes), more(n.consents), more(n.deliveries)}
}

func (n *counts) add(f fact) {
	switch f.fact.GetKind().(type) {
	case *handoffv1.Fact_Message:
		n.messages++
	case *handoffv1.Fact_Episode:
		n.episodes++
	case *handoffv1.Fact_Consent:
		n.consents++
	case *handoffv1.Fact_Delivery:
		n.deliveries++
	}
}

func (n counts) batch() rows.Batch {
	return rows.Batch{
		Messages: make([]rows.Message, 0, n.messages), EpisodeEvents: make([]rows.EpisodeEvent, 0, n.episodes),
		ConsentChanges: make([]rows.ConsentChange, 0, n.consents), Deliveries: make([]rows.Delivery, 0, n.deliveries),
	}
}

// add appends the fact's row.
func (f fact) add(b *rows.Batch) {
	if f.bad != "" {
		reject(b, f.in, f.bad)
		return
	}
	o := origin(f.in, f.record, f.fact)
	switch kind := f.fact.GetKind().(type) {
	case *handoffv1.Fact_Message:
		b.Messages = append(b.Messages, message(o, kind.Message))
	case *handoffv1.Fact_Episode:
		b.EpisodeEvents = append(b.EpisodeEvents, episode(o, kind.Episode))
	case *handoffv1.Fact_Consent:
		b.ConsentChanges = append(b.ConsentChanges, consent(o, kind.Consent))
	case *handoffv1.Fact_ConsentEvent:
		b.ConsentEvents = append(b.ConsentEvents, consentEvent(o, kind.ConsentEvent))
	case *handoffv1.Fact_Ticket:
		b.TicketEvents = append(b.TicketEvents, ticket(o, kind.Ticket))
	case *handoffv1.Fact_Rule:
		b.RuleRuns = append(b.RuleRuns, ruleRun(o, kind.Rule))
	case *handoffv1.Fact_Delivery:
		b.Deliveries = append(b.Deliveries, delivery(o, kind.Delivery))
	default:
		reject(b, f.in, "the fact is of no kind that is known, or of a newer version")
	}
}

// reject keeps a record that is no fact, bytes copied: they are the runner's.
func reject(b *rows.Batch, in *pipeline.Record, why string) {
	b.Rejected = append(b.Rejected, rows.Rejected{
		Partition: in.Partition, Offset: in.Offset, Time: milli(in.Time),
		Key: append([]byte{}, in.Key...), Value: append([]byte{}, in.Value...), Error: why,
	})
}

// origin is what every fact's row has.
func origin(in *pipeline.Record, r *handoffv1.Record, f *handoffv1.Fact) rows.Origin {
	received := instant(r.GetReceivedAt())
	return rows.Origin{
		Partition: in.Partition, Offset: in.Offset,
		ID:         schemas.HexID(r.GetId()),
		Time:       rows.EventTime(instant(r.GetEventTime()), received),
		ReceivedAt: received,
		DecidedAt:  instant(f.GetAt()),
		Shop:       r.GetShop(), Channel: schemas.ChannelName(r.GetChannel()), Account: r.GetAccount(), Address: r.GetAddress(),
		Conversation: r.GetConversation(),
		Stage:        f.GetStage(), Reason: f.GetReason(),
	}
}

// instant reads a timestamp; one that is missing or out of range is no time.
func instant(t *timestamppb.Timestamp) time.Time {
	if t == nil || t.CheckValid() != nil {
		return time.Time{}
	}
	return milli(t.AsTime())
}

// milli cuts a time to what rows keep.
func milli(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}
