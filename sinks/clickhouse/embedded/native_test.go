package embedded

import (
	"bytes"
	"testing"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

// sampleBlock is a block with columns whose ends are not told by their size.
func sampleBlock(t *testing.T, rows int) *proto.Block {
	t.Helper()
	b := proto.NewBlock()
	b.ServerContext = &column.ServerContext{Timezone: time.UTC}
	types := map[string]column.Type{
		"n": "UInt64", "s": "String", "l": "LowCardinality(String)", "o": "Nullable(Float64)", "a": "Array(Array(String))", "m": "Map(String, LowCardinality(String))",
	}
	if rows == 0 {
		delete(types, "l") // the client writes a prefix for an empty column,
		delete(types, "m") // which the engine does not
	}
	for name, typ := range types {
		if err := b.AddColumn(name, typ); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range b.Columns {
		for row := range rows {
			values := map[string]any{
				"n": uint64(row), "s": "text", "l": []string{"x", "y"}[row%2], "o": (*float64)(nil),
				"a": [][]string{{"p", "q"}, {}}, "m": map[string]string{"k": "v"},
			}
			if err := b.Columns[i].AppendRow(values[c.Name()]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b
}

// TestRaiseRevision: several blocks of a chunk, an empty one among them, read
// the same at the raised revision as at the bare one.
func TestRaiseRevision(t *testing.T) {
	var bare chproto.Buffer
	for _, rows := range []int{3, 0, 2000} {
		if err := sampleBlock(t, rows).Encode(&bare, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, revision := range []uint64{1, 54453, 54454, 54513} {
		raised, err := raiseRevision(nil, bare.Buf, revision)
		if err != nil {
			t.Fatalf("revision %d: %v", revision, err)
		}
		r := chproto.NewReader(bytes.NewReader(raised))
		for _, rows := range []int{3, 0, 2000} {
			b := proto.Block{ServerContext: &column.ServerContext{Timezone: time.UTC}}
			if err := b.Decode(r, revision); err != nil || b.Rows() != rows {
				t.Fatalf("revision %d: %d rows of %d, %v", revision, b.Rows(), rows, err)
			}
			var again chproto.Buffer
			if err := b.Encode(&again, 0); err != nil {
				t.Fatal(err)
			}
		}
		if n, _ := r.Read(make([]byte, 1)); n != 0 {
			t.Errorf("revision %d: bytes are left", revision)
		}
	}
	if got, err := raiseRevision(nil, bare.Buf, 0); err != nil || !bytes.Equal(got, bare.Buf) {
		t.Errorf("revision 0 changes bytes, %v", err)
	}
	if _, err := raiseRevision(nil, bare.Buf[:len(bare.Buf)-3], 54513); err == nil {
		t.Error("a cut-off block was accepted")
	}
}
