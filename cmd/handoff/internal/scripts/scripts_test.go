package scripts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/pipeline/script"
)

// TestScripts runs every conversation script through the whole topology in memory.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("../../../../pipeline/script/testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there are no scripts")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			topology, err := app.Topology("../../../../pipeline/script/testdata/models")
			if err != nil {
				t.Fatal(err)
			}
			topology.Rules = shippedRules
			w, err := script.NewWorld(topology)
			if err != nil {
				t.Fatal(err)
			}
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				out, err := w.Run(command(d))
				if err != nil {
					t.Fatalf("%s: %v", d.Pos, err)
				}
				return out
			})
		})
	}
}

// shippedRules reads one of the files in examples/rules.
func shippedRules(name string) ([]byte, error) {
	return os.ReadFile("../../../../examples/rules/" + name + ".yaml")
}

func command(d *datadriven.TestData) script.Command {
	c := script.Command{Name: d.Cmd, Args: map[string]string{}, Input: d.Input}
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			c.Words = append(c.Words, a.Key)
		} else {
			c.Args[a.Key] = strings.Join(a.Vals, ",")
		}
	}
	return c
}
