package inspect

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// items are one of every kind, with what a terminal must not see raw.
func items(t *testing.T) []state.Item {
	t.Helper()
	value, err := proto.Marshal(&statev1.LedgerHead{Version: 7})
	if err != nil {
		t.Fatal(err)
	}
	return []state.Item{
		{Kind: state.Entry, Key: []byte("acme|+1"), Name: "head", Value: value},
		{Kind: state.Entry, Key: []byte("acme|\x1b[2J"), Name: "new/thing", Value: []byte{1, 2}},
		{Kind: state.Timer, Key: []byte("acme|+1"), Name: "lapse", Due: noon},
		{Kind: state.Call, Key: []byte("acme|+1"), Name: "ab12", Call: pipeline.Call{ID: "ab12", Destination: "twilio", Lane: "l", Created: noon}},
	}
}

func printed(t *testing.T, asJSON bool) string {
	t.Helper()
	var b strings.Builder
	p := &StatePrinter{Out: &b, JSON: asJSON, Stage: "consent", Contract: &turn.Contract{Keeps: []turn.Entry{{Name: "head", Empty: &statev1.LedgerHead{}}}}}
	if err := p.Position(3, state.Position{Offset: 9, Number: 4, Clock: noon.UnixMilli(), Schema: 1}); err != nil {
		t.Fatal(err)
	}
	for _, i := range items(t) {
		if err := p.Item(3, i); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestStateText(t *testing.T) {
	want := `# handoff.consent.changelog/3: transaction 4, before offset 9 of handoff.consent, clock 2026-03-02T12:00:00Z
acme|+1  entry  head  (handoff.state.v1.LedgerHead)
    {
      "version": "7"
    }
"acme|\x1b[2J"  entry  new/thing
    cannot be decoded: state entry "new/thing" is of no kind that is known; a newer Handoff wrote it
    2 bytes: 0102
acme|+1  timer  lapse  due 2026-03-02T12:00:00Z
acme|+1  call   ab12
    {
      "destination": "twilio",
      "lane": "l",
      "created": "2026-03-02T12:00:00Z"
    }
`
	if got := printed(t, false); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestStateJSON(t *testing.T) {
	want := `{"kind":"position","stage":"consent","partition":3,"offset":9,"transaction":4,"clock":"2026-03-02T12:00:00Z","schema":1}
{"kind":"entry","stage":"consent","partition":3,"key":"acme|+1","name":"head","type":"handoff.state.v1.LedgerHead","value":{"version":"7"}}
{"kind":"entry","stage":"consent","partition":3,"key":"\"acme|\\x1b[2J\"","name":"new/thing","raw":"AQI=","problem":"state entry \"new/thing\" is of no kind that is known; a newer Handoff wrote it"}
{"kind":"timer","stage":"consent","partition":3,"key":"acme|+1","name":"lapse","due":"2026-03-02T12:00:00Z"}
{"kind":"call","stage":"consent","partition":3,"key":"acme|+1","name":"ab12","call":{"destination":"twilio","lane":"l","created":"2026-03-02T12:00:00Z"}}
`
	if got := printed(t, true); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestStateOfASink(t *testing.T) {
	var b strings.Builder
	p := &StatePrinter{Out: &b, JSON: true, Stage: "analytics"}
	for _, v := range []string{`{"from":1}`, "no json"} {
		if err := p.Item(0, state.Item{Kind: state.Entry, Name: "intent", Value: []byte(v)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.String(); !strings.Contains(got, `"name":"intent","type":"JSON","value":{"from":1}}`) || !strings.Contains(got, `"problem":"it is no JSON"`) {
		t.Error(got)
	}
}

func TestLag(t *testing.T) {
	all := []kafka.StageLag{{Stage: "consent", State: "Stable",
		Members: []kafka.Member{{Instance: "consent-a", Host: "10.0.0.1", Partitions: []int32{0}}, {Instance: "consent-b", Partitions: []int32{1, 2}}},
		Partitions: []kafka.PartitionLag{
			{Partition: 0, Committed: 5, End: 15, Records: 10, Oldest: noon.Add(-90 * time.Second), Owner: "consent-a"},
			{Partition: 1, Committed: -1, End: 3, Records: 3, Owner: "consent-b"},
			{Partition: 2, Committed: 1, End: 4, Records: 1, Gone: 2, Oldest: noon.Add(-1234 * time.Microsecond), Owner: "consent-b"},
		}}}
	var b strings.Builder
	for _, partitions := range []bool{false, true} {
		if err := WriteLag(&b, all, noon, partitions); err != nil {
			t.Fatal(err)
		}
	}
	want := `STAGE    GROUP   LAG  OLDEST  MEMBERS
consent  Stable  14   1m30s   consent-a (1), consent-b (2)
consent: 2 records were deleted from handoff.consent before they were read
STAGE    PARTITION  COMMITTED  END  LAG  OLDEST   OWNER
consent  0          5          15   10   1m30s    consent-a
consent  1          -          3    3    unknown  consent-b
consent  2          1          4    1    1ms      consent-b
consent: 2 records were deleted from handoff.consent before they were read
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	n, d := int64(14), 90*time.Second
	if over := Behind(all, noon, &n, &d); len(over) != 0 {
		t.Errorf("at the limits: %v", over)
	}
	n, d = 13, 89*time.Second
	if over := Behind(all, noon, &n, &d); len(over) != 2 {
		t.Errorf("above both: %v", over)
	}
	if over := Behind(all, noon, nil, nil); len(over) != 0 {
		t.Errorf("without limits: %v", over)
	}
}
