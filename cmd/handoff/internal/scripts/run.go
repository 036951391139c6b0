package scripts

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/pipeline/script"
)

// Options of a run.
type Options struct {
	// Settings is the document of the shop that scripts begin with; empty: the shop of docs/scripts.md.
	Settings []byte
	// Rules is a file of rules that are in force from the beginning; "" for none.
	Rules string
	// Rewrite puts what happens into the file, in place of reporting where it differs.
	Rewrite bool
	// Colour the differences.
	Colour bool
	// Out takes the report.
	Out io.Writer
}

// Refused is why rules that were given are not taken.
type Refused struct{ Why string }

// Error says why.
func (r *Refused) Error() string { return "refused: " + r.Why }

// RunFile runs a script from a file and reports where something else happened than it says; same tells
// that nothing did. An error means that the script, or the settings, cannot be run as written.
func RunFile(name string, opt Options) (same bool, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	f, err := script.Parse(name, text)
	if err != nil {
		return false, err
	}
	happened, err := play(f, opt)
	if err != nil {
		return false, err
	}
	now := f.Render(happened)
	differ := 0
	for i, s := range f.Steps {
		if happened[i] != s.Want {
			differ++
		}
	}
	switch {
	case differ == 0:
		fmt.Fprintf(opt.Out, "%s: as expected (%d commands)\n", name, len(f.Steps))
		return true, nil
	case opt.Rewrite:
		if err := rewrite(name, now); err != nil {
			return false, err
		}
		fmt.Fprintf(opt.Out, "%s: filled in what happens after %d of %d commands\n", name, differ, len(f.Steps))
		return true, nil
	}
	fmt.Fprintf(opt.Out, "%s: something else happened after %d of %d commands\n", name, differ, len(f.Steps))
	_, err = io.WriteString(opt.Out, difference(f, bytes.TrimPrefix(text, []byte("\ufeff")), now, opt.Colour))
	return false, err
}

// play runs a script in a world of its own and returns what happened at each step. Rules that were given
// are in force as if the script began with the command "rules".
func play(f *script.File, opt Options) ([]string, error) {
	topology, err := app.Topology("")
	if err != nil {
		return nil, err
	}
	topology.Settings, topology.Rules = opt.Settings, readRules
	w, err := script.NewWorld(topology)
	if err != nil {
		return nil, err
	}
	if opt.Rules != "" {
		out, err := w.Run(script.Command{Name: "rules", Words: []string{opt.Rules}})
		if err != nil {
			return nil, err
		}
		if out != "ok\n" {
			return nil, fmt.Errorf("%s is %w", opt.Rules, &Refused{Why: strings.TrimPrefix(strings.TrimSpace(out), "refused: ")})
		}
	}
	happened := make([]string, len(f.Steps))
	for i, s := range f.Steps {
		if happened[i], err = w.Run(s.Command); err != nil {
			return nil, &script.SyntaxError{File: f.Name, Line: s.Line, Err: err}
		}
	}
	return happened, nil
}

// rulesHome is where the rules that ship lie, below the working directory.
const rulesHome = "examples/rules"

// readRules reads a file of rules by its path, or one that ships by its name.
func readRules(name string) ([]byte, error) {
	doc, err := os.ReadFile(name)
	if !errors.Is(err, os.ErrNotExist) {
		return doc, err
	}
	if shipped, err := os.ReadFile(filepath.Join(rulesHome, name+".yaml")); err == nil {
		return shipped, nil
	}
	files, err := filepath.Glob(filepath.Join(rulesHome, "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("there is no file %s, and no rules of that name ship: those are looked for in %s, seen from where the command is given", name, rulesHome)
	}
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(filepath.Base(file), ".yaml")
	}
	return nil, fmt.Errorf("there is no file %s, and no rules of that name ship: there are %s", name, strings.Join(names, ", "))
}

// rewrite replaces what a file holds and keeps who may read it.
func rewrite(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
