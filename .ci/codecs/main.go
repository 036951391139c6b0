// Command codecs changes the generated decoders below a directory in what the generator that makes them has no
// option for. They refuse a string that is not UTF-8, as protobuf's own do
// (https://github.com/planetscale/vtprotobuf/issues/146); and they take the messages that they put into another
// from rooms, UnmarshalVTIn, where they are given some: UnmarshalVTUnsafe gives none.
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
		changed, err := check(string(source))
		if err == nil {
			changed, err = roomy(changed)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return os.WriteFile(path, []byte(changed), 0o644)
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

// changes makes rooms of the memory that a decoder takes, in order.
var changes = []struct {
	found *regexp.Regexp
	by    string
}{
	{regexp.MustCompile(`(?m)^func \(m \*(\w+)\) UnmarshalVTUnsafe\(dAtA \[\]byte\) error \{$`),
		"func (m *$1) UnmarshalVTUnsafe(dAtA []byte) error { return m.UnmarshalVTIn(nil, dAtA) }\n\nfunc (m *$1) UnmarshalVTIn(in *reuse.Rooms, dAtA []byte) error {"},
	{regexp.MustCompile(`(?m)^(\t+)UnmarshalVTUnsafe\(\[\]byte\) error$`), "${1}UnmarshalVTIn(*reuse.Rooms, []byte) error"},
	{regexp.MustCompile(`\b(m\.\w+(?:\[len\(m\.\w+\)-1\])?|oneof\.\w+|v|unmarshal)\.UnmarshalVTUnsafe\(dAtA\[iNdEx:postIndex\]\)`), "$1.UnmarshalVTIn(in, dAtA[iNdEx:postIndex])"},
	{regexp.MustCompile(`(?m)^(\t+(?:m\.\w+ =|v :=) )&([\w.]+)\{\}$`), "${1}reuse.Zero[$2](in)"},
	{regexp.MustCompile(`(?m)^(\t+m\.\w+ = append\(m\.\w+, )&([\w.]+)\{\}\)$`), "${1}reuse.Zero[$2](in))"},
	{regexp.MustCompile(`(?m)^(\t+m\.\w+ = )&(\w+\{\w+: v\})$`), "${1}reuse.New(in, $2)"},
}

// theirs decodes the one message whose decoder is not made here; it holds no other.
var theirs = regexp.MustCompile(`\(\*timestamppb1\.Timestamp\)\(m\.\w+\)\.UnmarshalVTUnsafe\(`)

// roomy has decoders take messages from rooms. It fails where something is left as it was.
func roomy(source string) (string, error) {
	if strings.Contains(source, "UnmarshalVTIn(") || !strings.Contains(source, "UnmarshalVTUnsafe(") {
		return source, nil
	}
	for _, c := range changes {
		source = c.found.ReplaceAllString(source, c.by)
	}
	decoders := source[strings.Index(source, ") UnmarshalVTIn("):]
	own := strings.Count(decoders, "UnmarshalVTUnsafe(dAtA[") - len(theirs.FindAllString(decoders, -1))
	if n := strings.Count(decoders, "{}\n") + strings.Count(decoders, ": v}\n"); n > 0 || own != 0 {
		return "", fmt.Errorf("%d messages are still made, and %d decoded, without rooms", n, own)
	}
	return strings.Replace(source, "import (\n", "import (\n\treuse \"github.com/handoff-dev/handoff/schemas/reuse\"\n", 1), nil
}
