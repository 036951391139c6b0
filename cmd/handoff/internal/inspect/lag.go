package inspect

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
)

// LagLine is a stage's lag as JSON.
type LagLine struct {
	At    time.Time `json:"at"`
	Stage string    `json:"stage"`
	Group string    `json:"group"`
	// State of the consumer group.
	State   string       `json:"state"`
	Members []MemberLine `json:"members"`
	// Records unread, and Gone: deleted before they were read.
	Records int64 `json:"records"`
	Gone    int64 `json:"gone,omitempty"`
	// Seconds since the oldest unread record was received; 0 when none is unread.
	Seconds float64 `json:"seconds"`
	// Unfinished tells that a reset is not finished: the stage processes nothing, whatever it has read.
	Unfinished bool            `json:"reset_unfinished,omitempty"`
	Partitions []PartitionLine `json:"partitions"`
}

// MemberLine is a member of a group as JSON.
type MemberLine struct {
	Instance   string  `json:"instance"`
	Host       string  `json:"host"`
	Partitions []int32 `json:"partitions"`
}

// PartitionLine is a partition's lag as JSON.
type PartitionLine struct {
	Partition int32 `json:"partition"`
	// Committed is the offset to read next; absent when nothing was committed.
	Committed *int64  `json:"committed,omitempty"`
	End       int64   `json:"end"`
	Records   int64   `json:"records"`
	Gone      int64   `json:"gone,omitempty"`
	Seconds   float64 `json:"seconds"`
	Owner     string  `json:"owner,omitempty"`
	// ResetBegan is when a reset began that is not finished.
	ResetBegan *time.Time `json:"reset_began,omitempty"`
}

// age is how long ago t was, to the millisecond; 0 for no time.
func age(t, now time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(now.Sub(t).Truncate(time.Millisecond), 0)
}

// WriteLagJSON prints a document a stage.
func WriteLagJSON(out io.Writer, all []kafka.StageLag, now time.Time) error {
	e := json.NewEncoder(out)
	for i := range all {
		s := &all[i]
		l := LagLine{
			At: now.UTC(), Stage: s.Stage, Group: schemas.Mailbox(s.Stage), State: s.State, Records: s.Records(), Gone: s.Gone(),
			Seconds: age(s.Oldest(), now).Seconds(), Members: []MemberLine{}, Unfinished: len(s.Resets()) > 0,
		}
		for _, m := range s.Members {
			l.Members = append(l.Members, MemberLine{m.Instance, m.Host, append([]int32{}, m.Partitions...)})
		}
		for _, p := range s.Partitions {
			line := PartitionLine{Partition: p.Partition, End: p.End, Records: p.Records, Gone: p.Gone, Seconds: age(p.Oldest, now).Seconds(), Owner: p.Owner}
			if p.Committed >= 0 {
				line.Committed = &p.Committed
			}
			if !p.ResetBegan.IsZero() {
				line.ResetBegan = &p.ResetBegan
			}
			l.Partitions = append(l.Partitions, line)
		}
		if err := e.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

// WriteLag prints a table: a line a stage, or with partitions a line a partition.
func WriteLag(out io.Writer, all []kafka.StageLag, now time.Time, partitions bool) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	if partitions {
		fmt.Fprintln(w, "STAGE\tPARTITION\tCOMMITTED\tEND\tLAG\tOLDEST\tOWNER")
	} else {
		fmt.Fprintln(w, "STAGE\tGROUP\tLAG\tOLDEST\tMEMBERS")
	}
	var notes []string
	for i := range all {
		s := &all[i]
		if n := s.Gone(); n > 0 {
			notes = append(notes, fmt.Sprintf("%s: %d records were deleted from %s before they were read", s.Stage, n, schemas.Mailbox(s.Stage)))
		}
		if why := unfinished(s); why != "" {
			notes = append(notes, why)
		}
		if !partitions {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.Stage, s.State, s.Records(), oldest(s.Records(), s.Oldest(), now), members(s))
			continue
		}
		for _, p := range s.Partitions {
			committed := "-"
			if p.Committed >= 0 {
				committed = strconv.FormatInt(p.Committed, 10)
			}
			owner := p.Owner
			if owner == "" {
				owner = "-"
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%d\t%s\t%s\n", s.Stage, p.Partition, committed, p.End, p.Records, oldest(p.Records, p.Oldest, now), owner)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, n := range notes {
		fmt.Fprintln(out, n)
	}
	return nil
}

// unfinished tells of a reset that is not finished, and what finishes it; "" where there is none. How far the group
// had read before it says nothing then.
func unfinished(s *kafka.StageLag) string {
	resets := s.Resets()
	if len(resets) == 0 {
		return ""
	}
	names := make([]string, len(resets))
	for i, p := range resets {
		names[i] = strconv.Itoa(int(p.Partition))
	}
	return fmt.Sprintf("%s: a reset that began %s UTC is not finished (partitions %s), and the stage processes nothing before it is; unless it is at work now: %s",
		s.Stage, resets[0].ResetBegan.Format(time.DateTime), strings.Join(names, ", "), resets[0].Finish)
}

// oldest is the age of the oldest unread record; a dash when none is unread.
func oldest(records int64, t, now time.Time) string {
	switch {
	case records == 0:
		return "-"
	case t.IsZero():
		return "unknown"
	}
	d := age(t, now)
	if d >= time.Minute {
		return d.Truncate(time.Second).String()
	}
	return d.String()
}

// members lists who runs the stage, with the number of their partitions.
func members(s *kafka.StageLag) string {
	if len(s.Members) == 0 {
		return "nobody runs it"
	}
	all := make([]string, len(s.Members))
	for i, m := range s.Members {
		all[i] = fmt.Sprintf("%s (%d)", m.Instance, len(m.Partitions))
	}
	return strings.Join(all, ", ")
}

// Behind says which stages are above a limit: more unread records than records, or an older one than
// old; nil is no limit. A stage whose reset is not finished is above any limit: it processes nothing. It is empty when
// all are within.
func Behind(all []kafka.StageLag, now time.Time, records *int64, old *time.Duration) []string {
	var over []string
	for i := range all {
		s := &all[i]
		if why := unfinished(s); why != "" && (records != nil || old != nil) {
			over = append(over, why)
		}
		if n := s.Records(); records != nil && n > *records {
			over = append(over, fmt.Sprintf("%s has %d unread records, more than %d", s.Stage, n, *records))
		}
		if d := age(s.Oldest(), now); old != nil && d > *old {
			over = append(over, fmt.Sprintf("%s has not read a record for %s, more than %s", s.Stage, d.Truncate(time.Millisecond), *old))
		}
	}
	return over
}
