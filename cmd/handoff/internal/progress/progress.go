// Package progress tells a person how far a long read or write is: a bar where it is shown on a
// terminal, a plain line now and then where it goes to a file or a log.
//
//	bar := progress.New(os.Stderr, "read handoff.consent.changelog", "records", end-start)
//	defer bar.Done()
//	bar.Add(len(batch))
//
// What ends soon says nothing at all, so short reads stay quiet.
package progress

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// patience is how long nothing is said: most reads end before it.
	patience = 700 * time.Millisecond
	// redraw bounds how often a bar is drawn, and say how often a plain line is written.
	redraw = 100 * time.Millisecond
	say    = 10 * time.Second
	// memory is over how long the rate is averaged, so that the time left neither jumps nor lags.
	memory = 5 * time.Second
	// cells of a bar; a line stays below 100 columns.
	cells = 24
)

// Bar is one piece of work of known length. Its methods may be called from any goroutine.
type Bar struct {
	out      io.Writer
	terminal bool
	now      func() time.Time
	what     string
	unit     string

	mu    sync.Mutex
	total int64     // guarded by mu
	done  int64     // guarded by mu
	began time.Time // guarded by mu
	rate  float64   // guarded by mu; per second, averaged
	from  int64     // guarded by mu; done when rate was taken last
	asked time.Time // guarded by mu; when rate was taken last
	told  time.Time // guarded by mu; when something was written last
	shown bool      // guarded by mu
	ended bool      // guarded by mu
}

// New begins work of total units (0: not known) called what, e.g. "read handoff.consent.changelog".
// It writes to out: a bar when out is a terminal, lines otherwise.
func New(out *os.File, what, unit string, total int64) *Bar {
	return start(out, IsTerminal(out), time.Now, what, unit, total)
}

// Silent returns a bar that is never shown.
func Silent() *Bar { return start(io.Discard, false, time.Now, "", "", 0) }

// IsTerminal tells whether a person looks at f directly.
func IsTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

func start(out io.Writer, terminal bool, now func() time.Time, what, unit string, total int64) *Bar {
	at := now()
	return &Bar{out: out, terminal: terminal, now: now, what: what, unit: unit, total: total, began: at, asked: at, told: at}
}

// Add tells that n more units are done.
func (b *Bar) Add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += n
	b.show()
}

// SetTotal changes the length, for work whose length is learnt on the way.
func (b *Bar) SetTotal(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total = n
	b.show()
}

// Done ends the bar: what was shown gets its last line. Calling it again does nothing.
func (b *Bar) Done() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	b.ended = true
	if !b.shown {
		return
	}
	took := b.now().Sub(b.began)
	line := fmt.Sprintf("%s: %s %s in %s, %s/s", b.what, count(b.done), b.unit, clock(took), count(int64(float64(b.done)/took.Seconds())))
	if b.terminal {
		line = "\r" + line + "\x1b[K"
	}
	fmt.Fprintln(b.out, line)
}

// show writes a bar or a line when it is time for one; mu is held.
func (b *Bar) show() {
	now := b.now()
	if b.ended || now.Sub(b.began) < patience {
		return
	}
	every := say
	if b.terminal {
		every = redraw
	}
	if now.Sub(b.told) < every {
		return
	}
	b.measure(now)
	b.told, b.shown = now, true
	if !b.terminal {
		fmt.Fprintln(b.out, b.what+": "+b.figures())
		return
	}
	fmt.Fprint(b.out, "\r"+b.what+" "+b.drawing()+b.figures()+"\x1b[K")
}

// measure takes the rate since it was taken last into the average.
func (b *Bar) measure(now time.Time) {
	since := now.Sub(b.asked)
	if since <= 0 {
		return
	}
	latest := float64(b.done-b.from) / since.Seconds()
	weight := 1 - math.Exp(-since.Seconds()/memory.Seconds())
	if b.rate == 0 {
		weight = 1
	}
	b.rate += weight * (latest - b.rate)
	b.from, b.asked = b.done, now
}

func (b *Bar) drawing() string {
	if b.total <= 0 {
		return ""
	}
	full := int(min(max(b.done, 0), b.total) * cells / b.total)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", cells-full) + "] "
}

// figures says how much of how much, how fast, and how much longer.
func (b *Bar) figures() string {
	var s strings.Builder
	if b.total > 0 {
		fmt.Fprintf(&s, "%3d%% %s of %s %s", min(b.done, b.total)*100/b.total, count(b.done), count(b.total), b.unit)
	} else {
		fmt.Fprintf(&s, "%s %s", count(b.done), b.unit)
	}
	fmt.Fprintf(&s, ", %s/s", count(int64(b.rate)))
	if left := b.total - b.done; left > 0 && b.rate > 0 {
		fmt.Fprintf(&s, ", %s left", clock(time.Duration(float64(left)/b.rate*float64(time.Second))))
	}
	return s.String()
}

// count writes a number with three to four digits: 950, 12.3k, 4.57M.
func count(n int64) string {
	if n < 10e3 {
		return fmt.Sprint(n)
	}
	size, unit := float64(n)/1e3, "k"
	switch {
	case n >= 1e9:
		size, unit = float64(n)/1e9, "G"
	case n >= 1e6:
		size, unit = float64(n)/1e6, "M"
	}
	switch {
	case size < 10:
		return fmt.Sprintf("%.2f%s", size, unit)
	case size < 100:
		return fmt.Sprintf("%.1f%s", size, unit)
	}
	return fmt.Sprintf("%.0f%s", size, unit)
}

// clock writes a duration as m:ss, with hours where there are some; what would be longer than a hundred
// hours is not worth a figure.
func clock(d time.Duration) string {
	s := int64(d.Round(time.Second).Seconds())
	switch {
	case s >= 100*3600:
		return "over 100 hours"
	case s >= 3600:
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
