package clickhouse

import (
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// series is one column of a table's rows. The client is handed whole columns: by row it would have each value wrapped
// in an interface, which is most of what a row costs, and look at its type again.
type series struct {
	name string
	fill func(to driver.BatchColumn, s *scratch) error
}

// scratch is memory of a column until the client has copied it.
type scratch struct {
	texts []string
	times []time.Time
}

// fill hands the client all columns of a table.
func fill(to driver.Batch, t table) error {
	var s scratch
	for i, c := range t.columns {
		if err := c.fill(to.Column(i), &s); err != nil {
			return fmt.Errorf("column %s: %w", c.name, err)
		}
	}
	return nil
}

// values is a column of numbers or truths.
func values[R, V any](name string, list []R, of func(*R) V) series {
	return series{name, func(to driver.BatchColumn, _ *scratch) error {
		all := make([]V, len(list))
		for i := range list {
			all[i] = of(&list[i])
		}
		return to.Append(all)
	}}
}

// texts is a column of strings.
func texts[R any](name string, list []R, of func(*R) string) series {
	return series{name, func(to driver.BatchColumn, s *scratch) error {
		s.texts = s.texts[:0]
		for i := range list {
			s.texts = append(s.texts, of(&list[i]))
		}
		return to.Append(s.texts)
	}}
}

// words is a column of strings of which there are few, LowCardinality. The client looks each up among those before;
// the empty one need not be looked up, and one like the last is not wrapped again.
func words[R any](name string, list []R, of func(*R) string) series {
	return series{name, func(to driver.BatchColumn, _ *scratch) error {
		last, wrapped := "", any(nil)
		for i := range list {
			if word := of(&list[i]); word != last {
				if last, wrapped = word, nil; word != "" {
					wrapped = word
				}
			}
			if err := to.AppendRow(wrapped); err != nil {
				return err
			}
		}
		return nil
	}}
}

// times is a column of times that must be there: 1970 stands for none.
func times[R any](name string, list []R, of func(*R) time.Time) series {
	return series{name, func(to driver.BatchColumn, s *scratch) error {
		s.times = s.times[:0]
		for i := range list {
			at := of(&list[i])
			if at.IsZero() {
				at = time.Unix(0, 0).UTC()
			}
			s.times = append(s.times, at)
		}
		return to.Append(s.times)
	}}
}

// moments is a column of times that may be NULL.
func moments[R any](name string, list []R, of func(*R) *time.Time) series {
	return series{name, func(to driver.BatchColumn, _ *scratch) error {
		all := make([]*time.Time, len(list))
		for i := range list {
			if at := of(&list[i]); !at.IsZero() {
				all[i] = at
			}
		}
		return to.Append(all)
	}}
}

// lists is a column of lists, which may be empty but must be there.
func lists[R any](name string, list []R, of func(*R) []string) series {
	return series{name, func(to driver.BatchColumn, _ *scratch) error {
		for i := range list {
			one := of(&list[i])
			if one == nil {
				one = []string{}
			}
			if err := to.AppendRow(one); err != nil {
				return err
			}
		}
		return nil
	}}
}
