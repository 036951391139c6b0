package progress

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bar is a Bar on a buffer and a clock of the test's own.
func bar(terminal bool, total int64) (*Bar, *strings.Builder, *time.Time) {
	out := &strings.Builder{}
	at := time.Unix(1_700_000_000, 0)
	return start(out, terminal, func() time.Time { return at }, "read it", "records", total), out, &at
}

func TestShortWorkSaysNothing(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		b, out, at := bar(terminal, 1000)
		for range 5 {
			*at = at.Add(100 * time.Millisecond)
			b.Add(200)
		}
		b.Done()
		if out.String() != "" {
			t.Errorf("terminal %v: %q", terminal, out)
		}
	}
}

func TestBarOnATerminal(t *testing.T) {
	b, out, at := bar(true, 100_000)
	for range 20 { // 10000 a second
		*at = at.Add(100 * time.Millisecond)
		b.Add(1000)
	}
	drawn := strings.Split(out.String(), "\r")
	if got, want := drawn[len(drawn)-1], "read it [####--------------------]  20% 20.0k of 100k records, 10.0k/s, 0:08 left\x1b[K"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if n := len(drawn) - 1; n != 14 { // from 0.7 s to 2.0 s
		t.Errorf("drawn %d times, want 14", n)
	}
	for range 1000 { // within one moment nothing is drawn again
		b.Add(1)
	}
	if n := strings.Count(out.String(), "\r"); n != 14 {
		t.Errorf("drawn %d times", n)
	}
	out.Reset()
	b.Done()
	b.Done()
	if got, want := out.String(), "\rread it: 21.0k records in 0:02, 10.5k/s\x1b[K\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	out.Reset()
	b.Add(5)
	if out.String() != "" {
		t.Errorf("after the end: %q", out)
	}
}

func TestLinesElsewhere(t *testing.T) {
	b, out, at := bar(false, 0)
	for range 250 {
		*at = at.Add(100 * time.Millisecond)
		b.Add(1)
	}
	b.SetTotal(1000)
	*at = at.Add(10 * time.Second)
	b.Add(0)
	b.Done()
	want := "read it: 100 records, 10/s\n" +
		"read it: 200 records, 10/s\n" +
		"read it:  25% 250 of 1000 records, 3/s, 3:25 left\n" +
		"read it: 250 records in 0:35, 7/s\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

// TestMoreThanTotal: a log grows while it is read.
func TestMoreThanTotal(t *testing.T) {
	b, out, at := bar(true, 10)
	*at = at.Add(time.Second)
	b.Add(25)
	if got, want := out.String(), "\rread it ["+strings.Repeat("#", cells)+"] 100% 25 of 10 records, 25/s\x1b[K"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 9999: "9999", 10_000: "10.0k", 123_456: "123k", 1_000_000: "1.00M", 45_600_000: "45.6M", 7_890_000_000: "7.89G"} {
		if got := count(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{900 * time.Millisecond: "0:01", 61 * time.Second: "1:01", 2*time.Hour + 5*time.Second: "2:00:05", 1000 * time.Hour: "over 100 hours"} {
		if got := clock(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

func TestAFileIsNoTerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if IsTerminal(f) {
		t.Error("a file counts as a terminal")
	}
	b := New(f, "x", "records", 1)
	b.Add(1)
	b.Done()
	Silent().Add(3)
}
