package tsv_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/handoff-dev/handoff/schemas/tsv"
)

func TestRows(t *testing.T) {
	var got []string
	for line, columns := range tsv.Rows("# remark\na\tb c\n\n\td\n#\te\nlast") {
		got = append(got, fmt.Sprintf("%d %q", line, columns))
	}
	if want := []string{`2 ["a" "b c"]`, `4 ["" "d"]`, `6 ["last"]`}; !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
	for line := range tsv.Rows("a\nb\nc") {
		if line == 2 {
			break
		}
	}
}
