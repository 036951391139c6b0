package check

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// allowed licences of what is built or tested with. The Mozilla licence covers files that are not
// changed here. Tools of .ci/tools are run, not built in, and may have any.
var allowed = []string{"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MPL-2.0", "CC0-1.0", "Unlicense"}

// marks are phrases that only one licence has, in words of lower case with single spaces. The first
// that matches decides, so a longer one stands before what it contains.
var marks = []struct {
	licence string
	phrases []string
}{
	{"AGPL-3.0", []string{"gnu affero general public license"}},
	{"LGPL-3.0", []string{"gnu lesser general public license"}},
	{"GPL-3.0", []string{"gnu general public license"}},
	{"SSPL-1.0", []string{"server side public license"}},
	{"BUSL-1.1", []string{"business source license"}},
	{"MPL-2.0", []string{"mozilla public license", "2.0"}},
	{"Apache-2.0", []string{"apache license", "version 2.0"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "neither the name"}},
	{"BSD-3-Clause", []string{"redistribution and use in source and binary forms", "may not be used to endorse"}},
	{"BSD-2-Clause", []string{"redistribution and use in source and binary forms"}},
	{"MIT", []string{"permission is hereby granted, free of charge, to any person obtaining a copy"}},
	{"ISC", []string{"permission to use, copy, modify, and/or distribute this software for any purpose"}},
	{"ISC", []string{"permission to use, copy, modify, and distribute this software for any purpose"}},
	{"Unlicense", []string{"this is free and unencumbered software released into the public domain"}},
	{"CC0-1.0", []string{"cc0 1.0 universal"}},
}

// titles of licences that begin with their name.
var titles = []struct{ licence, phrase string }{
	{"Apache-2.0", "apache license version 2.0"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MPL-2.0", "mozilla public license, version 2.0"},
}

var licenceFile = regexp.MustCompile(`(?i)^(un)?licen[cs]e([-.].*)?$|^copying([-.].*)?$`)

func TestLicences(t *testing.T) {
	dirs := map[string]string{}
	for _, p := range list(t, "-deps", "-test", "./...") {
		if p.Module != nil && p.Module.Path != module && p.Module.Dir != "" {
			dirs[p.Module.Path] = p.Module.Dir
		}
	}
	if len(dirs) == 0 {
		t.Fatal("no dependency found; this test looks in the wrong place")
	}
	for path, dir := range dirs {
		licence, err := licenceOf(dir)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if !slices.Contains(allowed, licence) {
			t.Errorf("%s has licence %s, which is not among %v", path, licence, allowed)
		}
	}
}

// licenceOf reads the licence in a module's directory.
func licenceOf(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("look for a licence: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", fmt.Errorf("read its licence: %w", err)
		}
		if licence := recognise(string(text)); licence != "" {
			return licence, nil
		}
	}
	return "", fmt.Errorf("no licence that can be recognised in %s", dir)
}

// recognise names the licence of a text; "" when it is none that is known.
func recognise(text string) string {
	words := strings.Join(strings.Fields(strings.ToLower(text)), " ")
	// A licence may mention another one further down: for a part it took over, or as compatible.
	head := words[:min(400, len(words))]
	for _, title := range titles {
		if strings.Contains(head, title.phrase) {
			return title.licence
		}
	}
	for _, m := range marks {
		if !slices.ContainsFunc(m.phrases, func(p string) bool { return !strings.Contains(words, p) }) {
			return m.licence
		}
	}
	return ""
}

func TestRecognise(t *testing.T) {
	for text, want := range map[string]string{
		"GNU AFFERO GENERAL PUBLIC LICENSE\nVersion 3":                                  "AGPL-3.0",
		"                                 Apache License\n Version 2.0":                 "Apache-2.0",
		"Business Source License 1.1":                                                   "BUSL-1.1",
		"Permission is hereby granted, free of charge, to any\nperson obtaining a copy": "MIT",
		"All rights reserved.":                                                          "",
	} {
		if got := recognise(text); got != want {
			t.Errorf("recognise(%.40q) = %q, want %q", text, got, want)
		}
	}
}

func TestOwnLicence(t *testing.T) {
	if got, err := licenceOf(root); err != nil || got != "Apache-2.0" {
		t.Errorf("our own licence is %q (%v), want Apache-2.0", got, err)
	}
	if _, err := os.Stat(filepath.Join(root, "NOTICE")); err != nil {
		t.Error(err)
	}
}
