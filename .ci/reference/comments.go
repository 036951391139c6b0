package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
)

// comments are what the code says about struct fields, by "Type.key" with the key of their YAML tag, and
// about types, by name.
type comments map[string]string

// readComments reads the packages in the directories.
func readComments(dirs ...string) (comments, error) {
	all := comments{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			for _, d := range file.Decls {
				if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
					for _, s := range g.Specs {
						all.addType(s.(*ast.TypeSpec), g.Doc)
					}
				}
			}
		}
	}
	return all, nil
}

func (c comments) addType(s *ast.TypeSpec, doc *ast.CommentGroup) {
	c[s.Name.Name] = line(doc.Text())
	st, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	said := ""
	for _, f := range st.Fields.List {
		if f.Doc.Text() != "" {
			said = line(f.Doc.Text())
		}
		if f.Tag == nil {
			continue
		}
		// A field without a comment of its own is in that of the field before.
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		c[s.Name.Name+"."+tag.Get("yaml")] = said
		c[s.Name.Name+".expr:"+tag.Get("expr")] = said
	}
}

func line(text string) string { return strings.Join(strings.Fields(text), " ") }

var behaviour = regexp.MustCompile(`\b[HMCWRDX][0-9]{1,2}\b`)

// behaviours are the ids that a comment names.
func behaviours(comment string) string {
	return strings.Join(behaviour.FindAllString(comment, -1), ", ")
}

var inBrackets = regexp.MustCompile(` ?\(([^()]*)\)`)

// plain is a field's comment without behaviour ids, its key in place of the name that Go code has for it.
func plain(comment, name, key string) string {
	if rest, ok := strings.CutPrefix(comment, name); ok {
		comment = "`" + key + "`" + rest
	}
	comment = inBrackets.ReplaceAllStringFunc(comment, func(b string) string {
		if behaviour.MatchString(b) {
			return ""
		}
		return b
	})
	return strings.ReplaceAll(comment, "|", `\|`)
}
