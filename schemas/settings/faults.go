package settings

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// mostFaults is how many entries that cannot be read are told of at once.
const mostFaults = 50

// faults are the entries of a document that cannot be read.
type faults struct {
	problems []Problem
	// out are the paths that were left out.
	out []string
	// emptied are the mappings that had nothing else in them.
	emptied []string
}

// decodeWhole decodes a document as far as it can be read. An entry that cannot be, or whose key nobody knows, is left
// out and told of, so that whoever mends a document sees all that is wrong with it at once. The error is for a document
// that cannot be taken apart.
func decodeWhole(document []byte) (*Shop, *faults, error) {
	s, f := defaults(), &faults{}
	err := decode(document, s, yaml.Strict())
	if err == nil {
		return s, f, nil
	}
	document = withoutMark(document)
	file, parseErr := parser.ParseBytes(document, 0)
	for {
		var bad *Error
		if !errors.As(err, &bad) || parseErr != nil || len(file.Docs) != 1 || len(f.problems) == mostFaults {
			return nil, nil, err
		}
		p := bad.Problems[0]
		f.problems = append(f.problems, p)
		if !f.leaveOut(file.Docs[0].Body, p.Path) {
			return nil, nil, &Error{Problems: f.problems}
		}
		s = defaults()
		failed := yaml.NewDecoder(bytes.NewReader(nil), yaml.Strict()).DecodeFromNode(file.Docs[0].Body, s)
		if failed == nil || errors.Is(failed, io.EOF) {
			return s, f, nil
		}
		err = &Error{Problems: []Problem{syntaxProblem(document, failed)}}
	}
}

var items = regexp.MustCompile(`(\[\d+\])+$`)

// entryOf is the entry of a mapping that a path is in: without an item of a list, whose neighbours would move up.
func entryOf(path string) string { return items.ReplaceAllString(path, "") }

// leaveOut takes what stands at a path out of the document. An item of a list leaves its place empty, so that its
// neighbours keep their numbers; where that cannot be read either, the entry goes that the list is in.
func (f *faults) leaveOut(body ast.Node, path string) (found bool) {
	if list := entryOf(path); list != path {
		if !slices.Contains(f.out, path) && emptyItem(body, path) {
			f.out = append(f.out, path)
			return true
		}
		path = list
	}
	if path == "" {
		return false
	}
	ast.Walk(visit(func(n ast.Node) {
		m, ok := n.(*ast.MappingNode)
		if !ok || found {
			return
		}
		before := len(m.Values)
		m.Values = slices.DeleteFunc(m.Values, func(v *ast.MappingValueNode) bool {
			return strings.TrimPrefix(v.Key.GetPath(), "$.") == path
		})
		if found = len(m.Values) < before; found && len(m.Values) == 0 {
			f.emptied = append(f.emptied, parent(path))
		}
	}), body)
	f.out = append(f.out, path)
	return found
}

// emptyItem puts nothing in the place of a list's item.
func emptyItem(body ast.Node, path string) (found bool) {
	ast.Walk(visit(func(n ast.Node) {
		list, ok := n.(*ast.SequenceNode)
		if !ok || found {
			return
		}
		for i, item := range list.Values {
			if strings.TrimPrefix(item.GetPath(), "$.") == path {
				list.Values[i], found = ast.Null(item.GetToken()), true
			}
		}
	}), body)
	return found
}

// visit is a function of every node.
type visit func(ast.Node)

// Visit implements ast.Visitor.
func (f visit) Visit(n ast.Node) ast.Visitor {
	f(n)
	return f
}

// explain tells whether a problem comes of what was left out, e.g. that it is missing.
func (f *faults) explain(p Problem) bool {
	return slices.Contains(f.emptied, p.Path) || slices.ContainsFunc(f.out, func(path string) bool {
		rest, under := strings.CutPrefix(p.Path, path)
		return under && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}
