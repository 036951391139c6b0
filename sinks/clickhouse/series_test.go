package clickhouse

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	wire "github.com/ClickHouse/ch-go/proto"
	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"

	"github.com/handoff-dev/handoff/schemas/rows"
)

// offline is a batch that no server knows of.
type offline struct {
	driver.Batch
	block *proto.Block
}

// Column implements driver.Batch.
func (o offline) Column(i int) driver.BatchColumn { return offlineColumn{o.block.Columns[i]} }

type offlineColumn struct{ chcolumn.Interface }

// Append implements driver.BatchColumn.
func (c offlineColumn) Append(v any) error {
	_, err := c.Interface.Append(v)
	return err
}

// newOffline returns a batch of a table, of the types that the migrations give its columns.
func newOffline(tb testing.TB, t table) offline {
	tb.Helper()
	block := proto.NewBlock()
	for _, s := range t.columns {
		if err := block.AddColumn(s.name, chcolumn.Type(typeOf(tb, s.name))); err != nil {
			tb.Fatal(err)
		}
	}
	return offline{block: block}
}

// typeOf is the type of the first column of that name in the migrations.
func typeOf(tb testing.TB, name string) string {
	tb.Helper()
	for _, file := range []string{"00001_facts.sql", "00004_consent_events.sql", "00005_rule_runs.sql", "00006_ticket_events.sql"} {
		source, err := os.ReadFile("migrations/" + file)
		if err != nil {
			tb.Fatal(err)
		}
		if m := regexp.MustCompile(`(?m)^    ` + name + ` +(.*?) COMMENT`).FindSubmatch(source); m != nil {
			return string(m[1])
		}
	}
	return "String" // added later
}

// TestSeries: what is handed over by the column is what was in the rows.
func TestSeries(t *testing.T) {
	at := time.Date(2026, 3, 2, 10, 0, 0, 5e6, time.UTC)
	list := []rows.EpisodeEvent{
		{Origin: rows.Origin{Offset: 7, ID: "a", Time: at, Shop: "acme", Reason: "first"}, From: "", To: "offered", OfferedAt: at, AgentReplies: 2},
		{Origin: rows.Origin{Offset: 8, ID: "b", Time: at, Shop: "acme"}, From: "offered", To: "requested"},
		{Origin: rows.Origin{Offset: 9, ID: "c", Shop: "zeta", Reason: "third"}, From: "offered", To: "", RequestedAt: at},
	}
	made := episodeEventsTable(list)
	batch := newOffline(t, made)
	if err := fill(batch, made); err != nil {
		t.Fatal(err)
	}
	const revision = 54448
	var sent wire.Buffer
	if err := batch.block.Encode(&sent, revision); err != nil {
		t.Fatal(err)
	}
	received := proto.NewBlock()
	if err := received.Decode(wire.NewReader(bytes.NewReader(sent.Buf)), revision); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"offset": "[7 8 9]", "id": "[a b c]", "shop": "[acme acme zeta]", "reason": "[first  third]", "from_state": "[ offered offered]",
		"to_state": "[offered requested ]", "offered_at": "[" + at.String() + " <nil> <nil>]", "requested_at": "[<nil> <nil> " + at.String() + "]",
		"time": fmt.Sprint([]time.Time{at, at, time.Unix(0, 0).UTC()}), "agent_replies": "[2 0 0]",
	} {
		for i, s := range made.columns {
			if s.name == name {
				if got := shown(received.Columns[i]); got != want {
					t.Errorf("column %s is %s, want %s", name, got, want)
				}
			}
		}
	}
}

// shown are a column's values as a server reads them.
func shown(c chcolumn.Interface) string {
	all := make([]any, c.Rows())
	for row := range all {
		all[row] = c.Row(row, false)
	}
	return fmt.Sprint(all)
}

// BenchmarkFill is what a row of messages costs until its bytes could be sent.
func BenchmarkFill(b *testing.B) {
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	list := make([]rows.Message, 4096)
	for i := range list {
		list[i] = rows.Message{
			Origin: rows.Origin{
				Partition: 1, Offset: int64(i), ID: fmt.Sprintf("%032x", i), Time: at, ReceivedAt: at, DecidedAt: at, Shop: "acme", Channel: "sms",
				Account: "+15557770000", Address: fmt.Sprintf("+1%010d", i), Conversation: "sms:+15557770000", Stage: "classify", Reason: "handoff.model",
			},
			MessageID: fmt.Sprintf("%032x", i), Direction: []string{"in", "out"}[i%2], Author: []string{"customer", "system"}[i%2],
			Text: "Hi, I want to cancel my order 10117 please", Intent: []string{"cancel_order", ""}[i%2], Confidence: 0.9, Language: "en", Classifier: "handoff.model",
		}
	}
	made := messagesTable(list)
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += len(list) {
		b.StopTimer()
		batch := newOffline(b, made)
		b.StartTimer()
		if err := fill(batch, made); err != nil {
			b.Fatal(err)
		}
	}
}
