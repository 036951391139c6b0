package settings

import (
	"regexp"
	"slices"
	"strings"
)

// bracketed finds what is written like something to be filled in.
var bracketed = regexp.MustCompile(`\[([A-Za-z0-9][A-Za-z0-9 ,_-]*)\]`)

// placeholdersIn lists what a shipped text has filled in.
func placeholdersIn(text string) (names []string) {
	for _, found := range bracketed.FindAllStringSubmatch(text, -1) {
		names = append(names, found[1])
	}
	return names
}

// placeholders refuses brackets that nothing fills in: they would leave as they are written. What begins with a
// capital and is like nothing that can be filled in is taken for the shop's own words.
func (c *checker) placeholders(path, text string, more ...string) {
	known := []string{"bot", "shop name", "support contact"}
	for _, name := range more {
		if !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	for _, name := range placeholdersIn(text) {
		lower := strings.ToLower(name)
		near := nearest(lower, known)
		switch {
		case slices.Contains(known, name):
		case near != "":
			c.add(path, "nothing fills in [%s]; did you mean [%s]?", name, near)
		case lower == name:
			c.add(path, "nothing fills in [%s]; use one of [%s], or other brackets", name, strings.Join(known, "], ["))
		}
	}
}
