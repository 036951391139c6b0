package gateway_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/handoff-dev/handoff/connectors/gateway"
)

const fileHeader = "address,channel,status,time,source\n"

// imported is what an answer tells of a file.
type imported struct {
	Error, Reason  string
	Taken, Refused int
	Problems       []struct {
		Line         int
		Path, Reason string
	}
	Left int `json:"problems_left_out"`
}

// tally is a publisher that keeps nothing but counts, what it was given in what order, and the heap.
type tally struct {
	messages, batches, longest int
	order                      hash.Hash
	heap                       uint64
	fail                       func(batch int) error
}

func newTally() *tally { return &tally{order: sha256.New()} }

func (p *tally) Publish(_ string, all ...*message.Message) error {
	p.batches++
	if p.fail != nil {
		if err := p.fail(p.batches); err != nil {
			return err
		}
	}
	p.messages += len(all)
	p.longest = max(p.longest, len(all))
	for _, m := range all {
		p.order.Write([]byte(m.UUID + "\n"))
	}
	if p.batches%20 == 1 {
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		p.heap = max(p.heap, mem.HeapAlloc)
	}
	return nil
}

func (p *tally) Close() error { return nil }

// upload sends a file that is made as it is read; ends without a length, so that nobody can hold it whole.
func (w *world) upload(path, kind string, rows func(io.Writer)) (a imported, status int) {
	w.t.Helper()
	in, out := io.Pipe()
	go func() {
		rows(out)
		_ = out.Close() // a pipe's end never fails
	}()
	got := w.send("POST", path, in, "Content-Type", kind, "Authorization", operator)
	_ = in.Close()
	if err := json.Unmarshal([]byte(got.body), &a); err != nil {
		w.t.Fatalf("%v: %s", err, got.body)
	}
	return a, got.status
}

func row(out io.Writer, n int) {
	fmt.Fprintf(out, "+1415%07d,sms,subscribed,2026-01-01T00:00:00Z,checkout of a shop with a name\n", n)
}

// TestImportOfAnySize: a file of 100,000 rows is taken in batches and in order, in bounded memory; each bad row is
// told with its line and the reason; sent again it makes the same records.
func TestImportOfAnySize(t *testing.T) {
	const rows = 100_000
	bad := map[int]string{2: "phone", 50_000: "status", 50_001: "channel", rows: "time"}
	file := func(out io.Writer) {
		io.WriteString(out, fileHeader)
		for n := 1; n <= rows; n++ {
			switch bad[n] {
			case "phone":
				fmt.Fprintln(out, "4155550001,sms,subscribed,2026-01-01T00:00:00Z,checkout")
			case "status":
				fmt.Fprintln(out, "+14155550001,sms,maybe,2026-01-01T00:00:00Z,checkout")
			case "channel":
				fmt.Fprintln(out, "+14155550001,whatsapp,unsubscribed,2026-01-01T00:00:00Z,checkout")
			case "time":
				fmt.Fprintln(out, "+14155550001,sms,subscribed,2100-01-01T00:00:00Z,checkout")
			default:
				row(out, n)
			}
		}
	}
	var orders []string
	for range 2 {
		p := newTally()
		w := start(t, func(c *gateway.Config) { c.Publisher, c.AckTimeout = p, time.Minute })
		var before runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		a, status := w.upload("/shops/acme/consent?skip_bad=true&by=Ann", "text/csv", file)
		if status != 202 || a.Taken != rows-len(bad) || a.Refused != len(bad) || p.messages != a.Taken {
			t.Fatalf("%d: %+v; %d posted", status, a, p.messages)
		}
		for i, want := range []string{`3 address "4155550001" is no number`, `50001 status "maybe" is none of`, `50002 channel the shop has no account on whatsapp`, `100001 time 2100-01-01T00:00:00Z is in the future`} {
			if got := fmt.Sprint(a.Problems[i].Line, " ", a.Problems[i].Path, " ", a.Problems[i].Reason); !strings.HasPrefix(got, want) {
				t.Errorf("problem %d: %s, want %s", i, got, want)
			}
		}
		if grown := int64(p.heap) - int64(before.HeapAlloc); p.longest > 500 || grown > 32<<20 {
			t.Errorf("batches of %d rows, the heap grew by %d bytes", p.longest, grown)
		}
		orders = append(orders, string(p.order.Sum(nil)))
	}
	if orders[0] != orders[1] {
		t.Error("the same file made other records, or in another order")
	}
}

// TestImportEndsEarly: what was taken before stays and is told, with how to go on.
func TestImportEndsEarly(t *testing.T) {
	many := func(n int) func(io.Writer) {
		return func(out io.Writer) {
			io.WriteString(out, fileHeader)
			for i := range n {
				row(out, i)
			}
		}
	}
	t.Run("Kafka goes away", func(t *testing.T) {
		p := newTally()
		p.fail = func(batch int) error {
			if batch > 3 {
				return errors.New("away")
			}
			return nil
		}
		w := start(t, func(c *gateway.Config) { c.Publisher = p })
		a, status := w.upload("/shops/acme/consent?skip_bad=true", "text/csv", many(3000))
		if status != 503 || a.Error != "unacknowledged" || a.Taken != 1500 || !strings.Contains(a.Reason, "1500 rows were taken before, and stay: send the file again") {
			t.Errorf("%d %+v", status, a)
		}
	})
	t.Run("a row without an end", func(t *testing.T) {
		w := start(t, nil)
		a, status := w.upload("/shops/acme/consent?skip_bad=true", "text/csv", func(out io.Writer) {
			many(600)(out)
			io.WriteString(out, `+14155550001,sms,subscribed,2026-01-01T00:00:00Z,"`+strings.Repeat("x", 1<<20))
		})
		if status != 400 || a.Error != "malformed" || a.Taken != 500 || !strings.Contains(a.Reason, "a row has more than") {
			t.Errorf("%d %+v", status, a)
		}
	})
	t.Run("a header that cannot be", func(t *testing.T) {
		w := start(t, nil)
		a, status := w.upload("/shops/acme/consent?skip_bad=true", "text/csv", func(out io.Writer) { row(out, 1) })
		if status != 400 || a.Taken != 0 || strings.Contains(a.Reason, "were taken before") {
			t.Errorf("%d %+v", status, a)
		}
	})
	t.Run("large and whole or not at all", func(t *testing.T) {
		w := start(t, nil)
		a, status := w.upload("/shops/acme/consent", "text/csv", many(5000))
		if status != 413 || !strings.Contains(a.Reason, "skip_bad=true") || w.posted() != 0 {
			t.Errorf("%d %+v", status, a)
		}
	})
	t.Run("more bad rows than are told", func(t *testing.T) {
		w := start(t, nil)
		a, status := w.upload("/shops/acme/consent?skip_bad=true", "text/csv", func(out io.Writer) {
			io.WriteString(out, fileHeader)
			for range 1500 {
				io.WriteString(out, "x,sms,subscribed,2026-01-01T00:00:00Z,checkout\n")
			}
			row(out, 1)
		})
		if status != 202 || a.Taken != 1 || a.Refused != 1500 || len(a.Problems) != 1000 || a.Left != 500 {
			t.Errorf("%d: %d taken, %d refused, %d told, %d left out", status, a.Taken, a.Refused, len(a.Problems), a.Left)
		}
	})
}
