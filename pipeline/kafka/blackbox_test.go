package kafka

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BlackBox keeps the last of what clients, brokers and stages log, and prints it when the test fails: what
// happens once in hundreds of runs on a busy machine must explain itself.
type BlackBox struct {
	mu    sync.Mutex
	lines []string // guarded by mu; a ring
	next  int      // guarded by mu
}

const blackBoxLines = 1500

// NewBlackBox is a test's own.
func NewBlackBox(t *testing.T) *BlackBox {
	b := &BlackBox{lines: make([]string, blackBoxLines)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last that was logged:\n%s", b)
		}
	})
	return b
}

func (b *BlackBox) keep(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines[b.next%blackBoxLines] = time.Now().Format("05.000 ") + line
	b.next++
}

// Write takes whole lines, of a log.
func (b *BlackBox) Write(lines []byte) (int, error) {
	b.keep(string(bytes.TrimRight(lines, "\n")))
	return len(lines), nil
}

// Level and Log make it a client's log.
func (*BlackBox) Level() kgo.LogLevel { return kgo.LogLevelInfo }

func (b *BlackBox) Log(_ kgo.LogLevel, msg string, values ...any) {
	b.keep(strings.TrimSpace(fmt.Sprintln(append([]any{msg}, values...)...)))
}

func (b *BlackBox) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all strings.Builder
	for i := range blackBoxLines {
		if line := b.lines[(b.next+i)%blackBoxLines]; line != "" {
			all.WriteString(line + "\n")
		}
	}
	return all.String()
}

// TestBlackBox: the last lines are kept, in order.
func TestBlackBox(t *testing.T) {
	b := &BlackBox{lines: make([]string, blackBoxLines)}
	for i := range 2*blackBoxLines + 5 {
		b.Log(kgo.LogLevelInfo, "line", "number", i)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if n := len(lines); n != blackBoxLines || !strings.HasSuffix(lines[0], fmt.Sprint("number ", blackBoxLines+5)) ||
		!strings.HasSuffix(lines[n-1], fmt.Sprint("number ", 2*blackBoxLines+4)) {
		t.Errorf("%d lines, from %q to %q", n, lines[0], lines[n-1])
	}
}
