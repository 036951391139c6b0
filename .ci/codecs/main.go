// Command codecs lets the generated decoders below a directory refuse a string that is not UTF-8, as
// protobuf's own do: the generator that makes them does not (https://github.com/planetscale/vtprotobuf/issues/146).
//
//	codecs schemas
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	decoded = regexp.MustCompile(`(?m)^(\t+)(m\.([A-Za-z0-9_]+) = (?:append\(m\.[A-Za-z0-9_]+, )?stringValue\)?)$`)
	text    = "unsafe.String("
	imports = regexp.MustCompile(`(?m)^\tunsafe "unsafe"$`)
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: codecs <directory of generated files>")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "codecs:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_vtproto.pb.go") {
			return err
		}
		files++
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		checked, err := check(string(source))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return os.WriteFile(path, []byte(checked), 0o644)
	})
	if err == nil && files == 0 {
		err = fmt.Errorf("no *_vtproto.pb.go below %s", dir)
	}
	return err
}

// check adds a test of every string that is decoded. It fails when it does not find as many places as
// there are strings: the generator writes something else then.
func check(source string) (string, error) {
	if strings.Contains(source, "utf8.ValidString(") {
		return source, nil
	}
	if places, strs := len(decoded.FindAllString(source, -1)), strings.Count(source, text); places != strs {
		return "", fmt.Errorf("%d strings are decoded, and %d of them in the form that is known", strs, places)
	} else if strs == 0 {
		return source, nil
	}
	if !imports.MatchString(source) {
		return "", errors.New(`unsafe is not imported as it was`)
	}
	source = imports.ReplaceAllString(source, "\tutf8 \"unicode/utf8\"\n$0")
	return decoded.ReplaceAllString(source, "${1}if !utf8.ValidString(stringValue) {\n${1}\treturn fmt.Errorf(\"proto: field $3 is not UTF-8\")\n${1}}\n${1}$2"), nil
}
