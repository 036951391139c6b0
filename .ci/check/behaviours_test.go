package check

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// behaviours are the pages that say what shows each behaviour, and the ids that each of them is about: all of a
// letter up to a number, or one.
var behaviours = map[string][]string{
	"docs/behaviours/consent.md": append(upTo("C", 15), append(upTo("R", 4), "W7", "W9", "W10", "W11")...),
	"docs/behaviours/handoff.md": append(append(upTo("H", 15), upTo("M", 7)...), "W3", "X4"),
}

func upTo(letter string, last int) (ids []string) {
	for n := 1; n <= last; n++ {
		ids = append(ids, fmt.Sprint(letter, n))
	}
	return ids
}

var (
	scriptName = regexp.MustCompile(`^([A-Z]+[0-9]+)_[a-z0-9_]+$`)
	testName   = regexp.MustCompile(`^([a-z0-9/]+)\.(Test[A-Za-z0-9]+)$`)
)

// TestBehaviours: every script and test that a page of behaviours names is there, every behaviour of the page has a
// line, and every script of one has a place.
func TestBehaviours(t *testing.T) {
	for page, ids := range behaviours {
		text, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		lines, placed := map[string]int{}, map[string]bool{}
		for n, line := range strings.Split(string(text), "\n") {
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			if !strings.HasPrefix(line, "| ") || cells[0] == "id" {
				continue
			}
			if len(cells) != 3 {
				t.Errorf("%s:%d: %d cells, want id, promise, what shows it", page, n+1, len(cells))
				continue
			}
			lines[cells[0]]++
			for _, name := range strings.Split(cells[2], ", ") {
				placed[name] = true
				if err := shows(name); err != nil {
					t.Errorf("%s:%d: %v", page, n+1, err)
				}
			}
		}
		for _, id := range ids {
			if lines[id] == 0 {
				t.Errorf("%s: no line for %s", page, id)
			}
			delete(lines, id)
			scripts, err := filepath.Glob(filepath.Join(root, "pipeline/script/testdata", id+"_*.txt"))
			if err != nil {
				t.Fatal(err)
			}
			for _, script := range scripts {
				if name := strings.TrimSuffix(filepath.Base(script), ".txt"); !placed[name] {
					t.Errorf("%s: %s has no place: name it beside the promise that it shows", page, name)
				}
			}
		}
		for id := range lines {
			t.Errorf("%s: %s is none of its behaviours", page, id)
		}
	}
}

// shows tells whether a script or test of that name is there.
func shows(name string) error {
	if scriptName.MatchString(name) {
		if _, err := os.Stat(filepath.Join(root, "pipeline/script/testdata", name+".txt")); err != nil {
			return fmt.Errorf("there is no script %s", name)
		}
		return nil
	}
	m := testName.FindStringSubmatch(name)
	if m == nil {
		return fmt.Errorf("%q is neither a script nor a test", name)
	}
	files, err := filepath.Glob(filepath.Join(root, m[1], "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if strings.Contains(string(source), "\nfunc "+m[2]+"(t *testing.T)") {
			return nil
		}
	}
	return fmt.Errorf("there is no test %s in %s", m[2], m[1])
}
