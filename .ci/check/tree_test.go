// Package check holds the rules of the house that no linter knows: which way imports point, how large
// files, functions and packages may be, what things may be called, and which licences dependencies
// may have. It reads sources and asks the go command; it builds nothing.
package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// module is the path that all of our packages begin with.
const module = "github.com/handoff-dev/handoff"

// root is the module's directory, seen from here.
const root = "../.."

// listed is what the go command says of a package.
type listed struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	CgoFiles     []string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
	Module       *struct{ Path, Version, Dir string }
	Standard     bool
}

// rel is the package's directory below the module; "" for the module itself.
func (p listed) rel() string { return rel(p.ImportPath) }

func rel(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

// ours tells whether an import path is one of this module.
func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// list asks the go command about packages.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,GoFiles,CgoFiles,Imports,TestImports,XTestImports,Deps,Module,Standard"}, args...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.String())
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read what go list %v said: %v", args, err)
		}
		all = append(all, p)
	}
}

// source is one parsed Go file that is neither a test nor generated.
type source struct {
	name    string // below the module
	pkg     string // directory below the module
	lines   int
	file    *ast.File
	fset    *token.FileSet
	written bool // by hand
}

// sources parses every file that is built, generated ones too.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	for _, p := range list(t, "./...") {
		for _, name := range append(p.GoFiles, p.CgoFiles...) {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, source{
				name:    filepath.Join(p.rel(), name),
				pkg:     p.rel(),
				lines:   fset.File(file.Pos()).LineCount(),
				file:    file,
				fset:    fset,
				written: !ast.IsGenerated(file),
			})
		}
	}
	if len(all) == 0 {
		t.Fatal("the module has no sources; this test looks in the wrong place")
	}
	return all
}
