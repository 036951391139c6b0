package check

import (
	"cmp"
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// Budgets of code that is built and written by hand, in lines.
const (
	fileP90         = 400
	functionP90     = 40
	functionMax     = 95
	exportedNames   = 60
	packageDepth    = 5
	smallestMeasure = 30 // percentiles of less say nothing
)

// sized is something with a length in lines.
type sized struct {
	name  string
	lines int
}

// p90 sorts by size, largest first, and returns the size that a tenth exceeds.
func p90(all []sized) int {
	slices.SortFunc(all, func(a, b sized) int { return cmp.Compare(b.lines, a.lines) })
	return all[len(all)/10].lines
}

func largest(all []sized) string {
	var b strings.Builder
	for _, s := range all[:min(10, len(all))] {
		fmt.Fprintf(&b, "\n  %4d  %s", s.lines, s.name)
	}
	return b.String()
}

func TestFileLengths(t *testing.T) {
	var files []sized
	for _, s := range sources(t) {
		if s.written {
			files = append(files, sized{s.name, s.lines})
		}
	}
	got := p90(files)
	t.Logf("%d files, p90 %d lines, largest:%s", len(files), got, largest(files))
	if len(files) >= smallestMeasure && got > fileP90 {
		t.Errorf("p90 of file lengths is %d lines, want at most %d; largest:%s", got, fileP90, largest(files))
	}
}

func TestFunctionLengths(t *testing.T) {
	var functions []sized
	for _, s := range sources(t) {
		if !s.written {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
			functions = append(functions, sized{s.name + " " + f.Name.Name, lines})
			if lines > functionMax {
				t.Errorf("%s: %s has %d lines, want at most %d", s.name, f.Name.Name, lines, functionMax)
			}
			if f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: has an init function; nothing registers itself", s.name)
			}
		}
	}
	got := p90(functions)
	t.Logf("%d functions, p90 %d lines, largest:%s", len(functions), got, largest(functions))
	if len(functions) >= smallestMeasure && got > functionP90 {
		t.Errorf("p90 of function lengths is %d lines, want at most %d; largest:%s", got, functionP90, largest(functions))
	}
}

func TestPackages(t *testing.T) {
	documented := map[string]bool{}
	names := map[string][]string{}
	for _, s := range sources(t) {
		documented[s.pkg] = documented[s.pkg] || s.file.Doc.Text() != ""
		if s.written {
			names[s.pkg] = append(names[s.pkg], exported(s.file)...)
		}
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("package %s has no package comment", pkg)
		}
		if n := len(names[pkg]); n > exportedNames {
			t.Errorf("package %s exports %d names, want at most %d", pkg, n, exportedNames)
		}
		if depth := strings.Count(pkg, "/") + 1; depth > packageDepth {
			t.Errorf("package %s is %d deep, want at most %d", pkg, depth, packageDepth)
		}
	}
}

// exported returns the names that a file declares at package level for others. Methods and fields
// belong to their types.
func exported(file *ast.File) []string {
	var all []string
	add := func(names ...*ast.Ident) {
		for _, n := range names {
			if n.IsExported() {
				all = append(all, n.Name)
			}
		}
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add(d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(spec.Name)
				case *ast.ValueSpec:
					add(spec.Names...)
				}
			}
		}
	}
	return all
}

// vague are words that name nothing of the field.
var vague = []string{"Manager", "Util", "Utils", "Helper", "Helpers", "Data", "Common", "Misc"}

func TestNames(t *testing.T) {
	for _, s := range sources(t) {
		if !s.written {
			continue
		}
		for _, word := range vague {
			if strings.EqualFold(s.file.Name.Name, word) {
				t.Errorf("package %s is named by a word that says nothing", s.pkg)
			}
		}
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				if typ, ok := spec.(*ast.TypeSpec); ok && isVague(typ.Name.Name) {
					t.Errorf("%s: type %s is named by a word that says nothing", s.name, typ.Name.Name)
				}
			}
		}
	}
}

// isVague tells whether a type's name ends in a vague word.
func isVague(name string) bool {
	for _, word := range vague {
		if strings.EqualFold(name, word) || strings.HasSuffix(name, word) && name != "Metadata" {
			return true
		}
	}
	return false
}

// TestNothingLeftOpen: what is committed is done; what is not is not there.
func TestNothingLeftOpen(t *testing.T) {
	for _, s := range sources(t) {
		for _, group := range s.file.Comments {
			for _, word := range []string{"TODO", "FIXME", "XXX", "HACK"} {
				if i := strings.Index(group.Text(), word); i >= 0 && s.written {
					t.Errorf("%s:%d: a comment says %s", s.name, s.fset.Position(group.Pos()).Line, word)
				}
			}
		}
	}
}
