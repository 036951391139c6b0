package classifier

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Outcome is what was read in one message of a known label.
type Outcome struct {
	// Want and Got are indices of labels; Want is -1 where the message has none.
	Want, Got int
	// Trust of the reading; Outside where it was said to have no label.
	Trust   float32
	Outside bool
}

const (
	// confusions is how many lines a table of confusions has at most.
	confusions = 20
	// smallMatrix is up to how many labels the whole table is shown.
	smallMatrix = 15
)

// Report writes how well readings fit the labels: accuracy, each label's precision, recall and F1, how far
// the trust can be trusted, and which labels are taken for which.
func Report(out io.Writer, labels []string, outcomes []Outcome) error {
	n := len(labels)
	hits, wanted, got := make([]int, n), make([]int, n), make([]int, n)
	taken := map[[2]int]int{}
	right, known, inside, outside, foundOut := 0, 0, 0, 0, 0
	for _, o := range outcomes {
		if o.Want < 0 {
			outside++
			if o.Outside {
				foundOut++
			}
			continue
		}
		known++
		if !o.Outside {
			inside++
		}
		wanted[o.Want]++
		got[o.Got]++
		taken[[2]int{o.Want, o.Got}]++
		if o.Want == o.Got {
			right++
			hits[o.Want]++
		}
	}
	fmt.Fprintf(out, "messages %d, labels %d\n", len(outcomes), n)
	var sum float64
	seen := 0
	for i := range n {
		if wanted[i] > 0 {
			sum += f1(hits[i], wanted[i], got[i])
			seen++
		}
	}
	fmt.Fprintf(out, "accuracy %.2f%%   macro-F1 %.2f%%\n", percent(right, known), 100*sum/float64(max(seen, 1)))
	fmt.Fprintf(out, "taken to be in scope %.2f%% of those with a label", percent(inside, known))
	if outside > 0 {
		fmt.Fprintf(out, "; taken to be out of scope %.2f%% of the %d without", percent(foundOut, outside), outside)
	}
	fmt.Fprintln(out)
	calibration(out, outcomes)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "\nLABEL\tMESSAGES\tPRECISION\tRECALL\tF1")
	for i, label := range labels {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\n", label, wanted[i], percent(hits[i], got[i]), percent(hits[i], wanted[i]), 100*f1(hits[i], wanted[i], got[i]))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return confusion(out, labels, taken)
}

// calibration writes how many readings of each trust were right.
func calibration(out io.Writer, outcomes []Outcome) {
	var all, right [5]int
	for _, o := range outcomes {
		k := min(max(int(o.Trust*5), 0), 4)
		all[k]++
		if o.Want == o.Got && o.Want >= 0 {
			right[k]++
		}
	}
	fmt.Fprint(out, "right, by trust:")
	for k := range all {
		fmt.Fprintf(out, "  %d-%d%%: %.0f%% of %d", 20*k, 20*k+20, percent(right[k], all[k]), all[k])
	}
	fmt.Fprintln(out)
}

// confusion writes the whole table of a few labels, and the worst confusions of many.
func confusion(out io.Writer, labels []string, taken map[[2]int]int) error {
	w := tabwriter.NewWriter(out, 0, 4, 1, ' ', tabwriter.AlignRight)
	if len(labels) <= smallMatrix {
		fmt.Fprint(w, "\nis \\ taken for\t")
		for i := range labels {
			fmt.Fprintf(w, "%d\t", i+1)
		}
		fmt.Fprintln(w)
		for i, label := range labels {
			fmt.Fprintf(w, "%d %s\t", i+1, label)
			for k := range labels {
				fmt.Fprintf(w, "%d\t", taken[[2]int{i, k}])
			}
			fmt.Fprintln(w)
		}
		return w.Flush()
	}
	var worst [][2]int
	for pair := range taken {
		if pair[0] != pair[1] {
			worst = append(worst, pair)
		}
	}
	slices.SortFunc(worst, func(a, b [2]int) int {
		return cmp.Or(cmp.Compare(taken[b], taken[a]), cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	})
	l := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(l, "\nIS\tTAKEN FOR\tMESSAGES")
	for _, pair := range worst[:min(len(worst), confusions)] {
		fmt.Fprintf(l, "%s\t%s\t%d\n", labels[pair[0]], labels[pair[1]], taken[pair])
	}
	return l.Flush()
}

func f1(hits, wanted, got int) float64 {
	return 2 * float64(hits) / float64(max(wanted+got, 1))
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(max(whole, 1)) }
