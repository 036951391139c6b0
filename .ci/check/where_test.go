package check

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedFile = regexp.MustCompile("`([a-z/]+\\.go)`")
	namedFunc = regexp.MustCompile("`([A-Za-z]+)`")
)

// TestWhereItIsDecided: each function that the map of the architecture names is in the file that it names.
func TestWhereItIsDecided(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), "## Where it is decided\n")
	part, _, more := strings.Cut(part, "\n## ")
	if !ok || !more {
		t.Fatal("there is no part \"Where it is decided\"")
	}
	found := 0
	for line := range strings.Lines(part) {
		places := namedFile.FindAllStringSubmatchIndex(line, -1)
		for i, at := range places {
			name, end := line[at[2]:at[3]], len(line)
			if i+1 < len(places) {
				end = places[i+1][0]
			}
			source, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Error(err)
				continue
			}
			for _, f := range namedFunc.FindAllStringSubmatch(line[at[1]:end], -1) {
				if found++; !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + f[1] + `\(`).Match(source) {
					t.Errorf("%s has no %s", name, f[1])
				}
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d functions are named", found)
	}
}
