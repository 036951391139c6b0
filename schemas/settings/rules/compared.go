package rules

import (
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
)

// comparisons checks what an expression compares with words that are known: channel == "SMS" would never hold, and
// nobody would hear of it (R3).
type comparisons struct {
	c    *checker
	path string
}

// Visit implements ast.Visitor.
func (v comparisons) Visit(n *ast.Node) {
	compared, ok := (*n).(*ast.BinaryNode)
	if !ok {
		return
	}
	switch compared.Operator {
	case "==", "!=":
		v.compare(compared.Left, compared.Right)
		v.compare(compared.Right, compared.Left)
	case "in":
		if list, ok := compared.Right.(*ast.ArrayNode); ok {
			for _, word := range list.Nodes {
				v.compare(compared.Left, word)
			}
		}
		v.among(compared.Left, compared.Right)
	}
}

// compare refuses a word that a name never is.
func (v comparisons) compare(left, right ast.Node) {
	name, isName := left.(*ast.IdentifierNode)
	word, isWord := right.(*ast.StringNode)
	if !isName || !isWord || word.Value == "" {
		return
	}
	switch known := v.c.wordsOf(name.Value); {
	case known == nil || slices.Contains(known, word.Value):
	case word.Value == nothing:
		v.c.addAt(v.path, word.Location().From, `%s is never "none" in an expression; use ""`, name.Value)
	default:
		v.c.addAt(v.path, word.Location().From, "%s is never %q; use one of %s", name.Value, word.Value, strings.Join(known, ", "))
	}
}

// among refuses a tag that is not written as tags are.
func (v comparisons) among(left, right ast.Node) {
	list, isName := right.(*ast.IdentifierNode)
	tag, isWord := left.(*ast.StringNode)
	if isName && isWord && list.Value == "tags" && strings.ToLower(tag.Value) != tag.Value {
		v.c.addAt(v.path, tag.Location().From, "tags are in small letters here: %q", strings.ToLower(tag.Value))
	}
}

// wordsOf are the words that a name of an expression can be, besides ""; nil where it can be any.
func (c *checker) wordsOf(name string) []string {
	var words []string
	switch name {
	case "when":
		for _, t := range Triggers() {
			words = append(words, string(t))
		}
	case "channel":
		words = Channels()
	case "status", "status_before":
		words = statuses()
	case "episode":
		words = episodes()
	case "last_author":
		words = authors()
	case "consent":
		words = consents()
	case "intent":
		words = slices.Clone(c.intents)
	}
	return slices.DeleteFunc(words, func(w string) bool { return w == nothing })
}
