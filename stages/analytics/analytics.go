// Package analytics turns the facts of the analytics topic into rows. It reads
// `handoff.analytics`, to which every stage reports, and emits nothing: the
// sink stores what [Rows] makes of a range, exactly once.
//
// It is pure: the same records make the same rows, so a range that is written
// again is the same as the first time. [Schema] names the version of that.
package analytics

import (
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/rows"
)

// Schema is the version of how records become rows. It grows with every
// change by which a stored range would be written differently.
const Schema = 1

// Rows maps records to rows, one each, in their order. A record that holds no
// fact becomes a rejected row with the reason. Rows share the records' memory: they are valid as long as it is.
func Rows(records []pipeline.Record) rows.Batch {
	var b rows.Batch
	for i := range records {
		add(&b, &records[i])
	}
	return b
}

// add appends the row of one record.
func add(b *rows.Batch, in *pipeline.Record) {
	r, err := schemas.DecodeShared(in.Key, in.Value)
	if err != nil {
		reject(b, in, err.Error())
		return
	}
	body, ok := r.GetBody().(*handoffv1.Record_Fact)
	if !ok {
		reject(b, in, "the record holds no fact")
		return
	}
	fact := body.Fact
	o := origin(in, r, fact)
	switch kind := fact.GetKind().(type) {
	case *handoffv1.Fact_Message:
		b.Messages = push(b.Messages, message(o, kind.Message))
	case *handoffv1.Fact_Episode:
		b.EpisodeEvents = push(b.EpisodeEvents, episode(o, kind.Episode))
	case *handoffv1.Fact_Consent:
		b.ConsentChanges = push(b.ConsentChanges, consent(o, kind.Consent))
	case *handoffv1.Fact_ConsentEvent:
		b.ConsentEvents = push(b.ConsentEvents, consentEvent(o, kind.ConsentEvent))
	case *handoffv1.Fact_Ticket:
		b.TicketEvents = push(b.TicketEvents, ticket(o, kind.Ticket))
	case *handoffv1.Fact_Rule:
		b.RuleRuns = push(b.RuleRuns, ruleRun(o, kind.Rule))
	case *handoffv1.Fact_Delivery:
		b.Deliveries = push(b.Deliveries, delivery(o, kind.Delivery))
	default:
		reject(b, in, "the fact is of no kind that is known, or of a newer version")
	}
}

// push appends a row. Rows are large and ranges long: room is doubled, since growing by a quarter, as
// append does, would copy each row several times.
func push[T any](all []T, row T) []T {
	if len(all) == cap(all) {
		all = slices.Grow(all, max(len(all), 16))
	}
	return append(all, row)
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
