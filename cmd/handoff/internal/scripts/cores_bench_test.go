package scripts

import (
	"context"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"
)

// BenchmarkCores is what the stages themselves cost: one text and everything it causes, records, commands
// and facts, through all of them on one core, with state in memory and neither Kafka nor Pebble. An operation
// is a text.
//
// "first" texts are each of another person and lead to an offer to talk to a person; "next" ones are what
// the same people write after it. "rules" is with the classifier that ships, "given" with one that knows
// the answer. Where it is "decoded", the text comes decoded and the stages hand each other records as they are:
// every command and fact is made, and neither is encoded nor becomes a row. Else stages read and write bytes, as
// they do in the product, and facts become rows.
func BenchmarkCores(b *testing.B) {
	for _, way := range []struct {
		name    string
		decoded bool
	}{{"", false}, {"decoded/", true}} {
		for _, classifier := range []string{"rules", "given"} {
			b.Run(way.name+"first/"+classifier, func(b *testing.B) { newCores(b, classifier).measure(b, way.decoded, firstText) })
			b.Run(way.name+"next/"+classifier, func(b *testing.B) { newCores(b, classifier).measure(b, way.decoded, firstText, nextText) })
		}
	}
}

const (
	firstText = "Hi, I want to cancel my order 10117 please"
	nextText  = "it was the blue one, size 42"
)

// cpuTime of the process so far. It tells what a text takes also where others use the machine.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// measured has a profile tell what is measured from what only leads there: `go tool pprof -tagfocus measured`.
func measured(is bool) {
	ctx := context.Background()
	if is {
		ctx = pprof.WithLabels(ctx, pprof.Labels("is", "measured"))
	}
	pprof.SetGoroutineLabels(ctx)
}

// coresPeople write before they are forgotten: what is measured is the stages, not the collector's way through the
// maps of this test, which the product does not have.
const coresPeople = 1024

// measure has people write and tells how many texts a second of the last kind went through.
func (c *cores) measure(b *testing.B, decoded bool, texts ...string) {
	b.Helper()
	b.ReportAllocs()
	run := c.runEncoded
	if decoded {
		run = c.runDecoded
	}
	run(b, &c.texts(1, texts[0])[0]) // the classifier reads its model when it is first asked
	var cpu time.Duration
	b.ResetTimer()
	for done := 0; done < b.N; done += coresPeople {
		b.StopTimer()
		n := min(coresPeople, b.N-done)
		c.forget()
		for i, text := range texts {
			inputs := c.texts(n, text)
			c.now = c.now.Add(time.Minute)
			c.rows = 0
			if i == len(texts)-1 {
				measured(true)
				b.StartTimer()
				cpu -= cpuTime()
			}
			for i := range inputs {
				run(b, &inputs[i])
			}
			c.drainFacts()
		}
		cpu += cpuTime()
		measured(false)
		if c.rows < n {
			b.Fatalf("%d rows of %d texts", c.rows, n)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/op")
}
