// Package reset reads what an operator wants reset, and tells what would happen.
package reset

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// ErrOffset is wrapped by Offsets' errors.
var ErrOffset = errors.New("not a partition and an offset")

// Offsets reads offsets as people give them, "<partition>:<offset>".
func Offsets(args []string) (map[int32]int64, error) {
	if len(args) == 0 {
		return nil, nil
	}
	all := map[int32]int64{}
	for _, arg := range args {
		p, o, ok := strings.Cut(arg, ":")
		partition, perr := strconv.ParseInt(p, 10, 32)
		offset, oerr := strconv.ParseInt(o, 10, 64)
		if !ok || perr != nil || oerr != nil || partition < 0 || offset < 0 {
			return nil, fmt.Errorf("%w: %q; give partition:offset, such as 3:1200", ErrOffset, arg)
		}
		if _, twice := all[int32(partition)]; twice {
			return nil, fmt.Errorf("%w: partition %d is given twice", ErrOffset, partition)
		}
		all[int32(partition)] = offset
	}
	return all, nil
}

// Plan is what a reset would do, for people.
type Plan struct {
	Stage string
	Parts []*kafka.PartitionReset
}

func (p Plan) any(is func(*kafka.PartitionReset) bool) bool { return slices.ContainsFunc(p.Parts, is) }

// Partial tells whether any partition is rebuilt from a part of its records only, by a reset that begins
// now.
func (p Plan) Partial() bool {
	return p.any(func(part *kafka.PartitionReset) bool {
		return !part.Nothing && !part.Keeps() && part.From > 0 && part.Continues.IsZero()
	})
}

// Write tells the plan.
func (p Plan) Write(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	state := "STATE THROWN AWAY"
	if p.any((*kafka.PartitionReset).Keeps) {
		state = "STATE KEPT"
	}
	fmt.Fprintf(w, "PARTITION\tGROUP AT\tSTATE AT\tGOES ON AT\tPROCESSED AGAIN\tGONE\t%s\n", state)
	untouched := 0
	for _, part := range p.Parts {
		if part.Nothing {
			untouched++
			continue
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\n", part.Partition, group(part), position(part), part.Until, again(part), gone(part), part.State)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if untouched > 0 {
		fmt.Fprintf(out, "%d partitions were never processed: nothing to do there.\n", untouched)
	}
	p.explain(out)
	return nil
}

func (p Plan) explain(out io.Writer) {
	var all state.Size
	again, lost := int64(0), int64(0)
	for _, part := range p.Parts {
		all.Entries, all.Timers, all.Calls = all.Entries+part.State.Entries, all.Timers+part.State.Timers, all.Calls+part.State.Calls
		again, lost = again+part.Until-part.From, lost+part.Lost
	}
	if lost > 0 {
		fmt.Fprintf(out, "LOST: at most %d records were never processed and are no longer in the topic; nothing can bring them back here.\n", lost)
	}
	if p.any((*kafka.PartitionReset).Keeps) {
		fmt.Fprintf(out, "The state is kept (%s); %s goes on at the offsets above.\n", all, p.Stage)
		return
	}
	fmt.Fprintf(out, "The state of %s is thrown away (%s) and built again from at most %d records.\n", p.Stage, all, again)
	if p.Partial() {
		fmt.Fprintln(out, "PARTIAL: what came of records before those is not built again.")
	}
	if p.any((*kafka.PartitionReset).Emits) {
		fmt.Fprintln(out, "Changes of consent are told to deliver again, which takes what is newer than what it has. All other outputs are discarded.")
		return
	}
	fmt.Fprintln(out, "Outputs are discarded.")
}

func group(p *kafka.PartitionReset) string {
	switch {
	case p.Continues != (time.Time{}):
		return fmt.Sprintf("unfinished since %s", p.Continues.Format(time.DateTime))
	case p.Group < 0:
		return "none"
	case p.Foreign:
		return fmt.Sprintf("%d, set by something else", p.Group)
	}
	return strconv.FormatInt(p.Group, 10)
}

func position(p *kafka.PartitionReset) string {
	if p.Position.Number == 0 {
		return "none"
	}
	return strconv.FormatInt(p.Position.Offset, 10)
}

func again(p *kafka.PartitionReset) string {
	switch {
	case p.Done:
		return "done"
	case p.From >= p.Until:
		return "nothing"
	}
	return fmt.Sprintf("%d to %d", p.From, p.Until-1)
}

// gone tells which records are no longer in the topic.
func gone(p *kafka.PartitionReset) string {
	if p.First == 0 {
		return "none"
	}
	return fmt.Sprintf("before %d", p.First)
}
