package rules

import (
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Words is one word or a list of them.
type Words []string

// UnmarshalYAML reads either.
func (w *Words) UnmarshalYAML(n ast.Node) error {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		word, err := scalar(n)
		if err != nil {
			return err
		}
		*w = Words{word}
		return nil
	}
	*w = Words{}
	for _, item := range list.Values {
		word, err := scalar(item)
		if err != nil {
			return err
		}
		*w = append(*w, word)
	}
	return nil
}

// Texts is a text by language; "" is the one for all others.
type Texts map[string]string

// UnmarshalYAML reads a text, or a map of them by language.
func (t *Texts) UnmarshalYAML(n ast.Node) error {
	entries, ok := n.(ast.MapNode)
	if !ok {
		text, err := scalar(n)
		if err != nil {
			return err
		}
		*t = Texts{"": text}
		return nil
	}
	*t = Texts{}
	for each := entries.MapRange(); each.Next(); {
		language, err := scalar(each.Key())
		if err != nil {
			return err
		}
		text, err := scalar(each.Value())
		if err != nil {
			return err
		}
		(*t)[language] = text
	}
	return nil
}

// UnmarshalYAML reads a note: its text alone, or with keys.
func (t *Text) UnmarshalYAML(n ast.Node) error {
	if _, ok := n.(ast.MapNode); !ok {
		return t.Text.UnmarshalYAML(n)
	}
	type plain Text
	return yaml.NodeToValue(n, (*plain)(t), yaml.Strict())
}

// UnmarshalYAML reads a reply: its text alone, or with keys.
func (r *Reply) UnmarshalYAML(n ast.Node) error {
	if _, ok := n.(ast.MapNode); !ok {
		return r.Text.UnmarshalYAML(n)
	}
	type plain Reply
	return yaml.NodeToValue(n, (*plain)(r), yaml.Strict())
}

// scalar reads a word, number or truth value as a word.
func scalar(n ast.Node) (string, error) {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		n = anchor.Value
	}
	switch s := n.(type) {
	case *ast.StringNode:
		return s.Value, nil
	case *ast.LiteralNode:
		return s.Value.Value, nil
	case ast.ScalarNode:
		if v := s.GetValue(); v != nil {
			return fmt.Sprint(v), nil
		}
	}
	return "", &yaml.SyntaxError{Message: "a word or a list of words is wanted here", Token: n.GetToken()}
}
