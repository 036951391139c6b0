package settings

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// syntaxProblem takes place and reason out of the YAML library's error, and says what can stand there.
func syntaxProblem(document []byte, err error) Problem {
	var ye yaml.Error
	if !errors.As(err, &ye) {
		return durationProblem(document, err.Error())
	}
	p := Problem{Reason: plainly(strings.TrimSpace(ye.GetMessage()))}
	t := ye.GetToken()
	if t != nil && t.Position != nil {
		p.Line, p.Column = t.Position.Line, t.Position.Column
	}
	var (
		unknown  *yaml.UnknownFieldError
		mistyped *yaml.TypeError
		mistaken *yaml.UnexpectedNodeTypeError
	)
	switch {
	case errors.As(err, &unknown):
		p.Path, p.Reason = unknownKey(document, unknown.GetToken())
	case errors.As(err, &mistyped) && t != nil:
		p.Path = pathAt(document, t)
		if wants := wanted(mistyped.DstType); wants != "" {
			p.Reason = fmt.Sprintf("%q is not %s", t.Value, wants)
		}
	case errors.As(err, &mistaken) && t != nil:
		p.Path = pathAt(document, t)
		p.Reason = nodeName(mistaken.Actual) + " stands where " + nodeName(mistaken.Expected) + " is expected"
	case t != nil:
		p.Path = pathAt(document, t) // "" in a document that is no YAML
	}
	return p
}

// definedTwice is what the YAML library says of a key that a section has already.
var definedTwice = regexp.MustCompile(`^mapping key (".*") already defined at \[(\d+):\d+\]$`)

// plainly says in words what to do about what is no YAML.
func plainly(reason string) string {
	if found := definedTwice.FindStringSubmatch(reason); found != nil {
		return fmt.Sprintf("%s stands here a second time, after line %s; leave one of them out", found[1], found[2])
	}
	switch {
	case strings.HasPrefix(reason, "found character '\t'"):
		return "a tab stands here: indent with spaces"
	case strings.HasPrefix(reason, "value is not allowed in this context"):
		return "does not fit what stands before it: indent what belongs together alike"
	}
	return reason
}

// wanted says what a setting of that type takes; "" for one that says it itself.
func wanted(t reflect.Type) string {
	if t == reflect.TypeFor[time.Duration]() {
		return "a duration, e.g. 90m or 24h"
	}
	switch element(t).Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a text; put quotes around it if it is meant as one"
	default:
		return ""
	}
}

// nodeName says in words what the YAML library has names of its own for.
func nodeName(t ast.NodeType) string {
	switch t {
	case ast.MappingType, ast.MappingValueType:
		return "a section of keys"
	case ast.SequenceType:
		return "a list"
	case ast.IntegerType, ast.FloatType:
		return "a number"
	case ast.BoolType:
		return "true or false"
	case ast.NullType:
		return "nothing"
	default:
		return "a text"
	}
}

// badDuration is what the time package says of a duration, which stands at its end in quotes.
var badDuration = regexp.MustCompile(`time: (?:invalid|unknown unit .* in|missing unit in) duration ("(?:[^"\\]|\\.)*")`)

// durationProblem is one about a duration: those errors come without a place, which is where the value that they
// quote stands.
func durationProblem(document []byte, reason string) Problem {
	p := Problem{Reason: reason}
	found := badDuration.FindStringSubmatch(reason)
	if found == nil {
		return p
	}
	value, err := strconv.Unquote(found[1])
	if err != nil {
		return p
	}
	p.Reason = fmt.Sprintf("%q is not a duration, e.g. 90m or 24h; a week is 168h", value)
	for _, t := range lexer.Tokenize(string(document)) {
		if t.Value == value {
			p.Line, p.Column = t.Position.Line, t.Position.Column
			p.Path = pathAt(document, t)
			break
		}
	}
	return p
}

// pathAt is the path of what stands at a token; "" where nothing does.
func pathAt(document []byte, t *token.Token) string {
	file, err := parser.ParseBytes(document, 0)
	if err != nil {
		return ""
	}
	find := &finder{at: t.Position, values: true}
	for _, doc := range file.Docs {
		ast.Walk(find, doc)
	}
	return strings.TrimPrefix(strings.TrimPrefix(find.path, "$"), ".") // "$" is the whole document
}
