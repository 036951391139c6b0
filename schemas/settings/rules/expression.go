package rules

import (
	"errors"
	"reflect"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// Bounds of an expression: its length, its parts, and what one evaluation may allocate.
const (
	longestExpression = 500
	mostNodes         = 200
	memoryBudget      = 10_000
)

// builtins are the functions that expressions may call. The others read the clock, or have no use in a
// condition.
func builtins() []string {
	return []string{"len", "lower", "upper", "trim", "any", "all", "none", "one", "abs"}
}

// expression compiles an expression to a test. One that fails while it runs, e.g. by its memory, does not
// hold.
func (c *checker) expression(path, source string) func(*Event) bool {
	no := func(*Event) bool { return false }
	if len(source) > longestExpression {
		c.add(path, "has %d bytes, at most %d are taken", len(source), longestExpression)
		return no
	}
	options := []expr.Option{expr.Env(&Event{}), expr.AsBool(), expr.MaxNodes(mostNodes), expr.DisableAllBuiltins(), expr.Patch(comparisons{c, path})}
	for _, name := range builtins() {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(source, options...)
	if err != nil {
		reason := reasonOf(err)
		c.addAt(path, columnOf(err), "%s; %s", reason, remedy(reason))
		return no
	}
	return func(e *Event) bool {
		machine := vm.VM{MemoryBudget: memoryBudget}
		held, err := machine.Run(program, e)
		return err == nil && held == true
	}
}

// columnOf is where in the expression it is wrong, from 0.
func columnOf(err error) int {
	var at *file.Error
	if errors.As(err, &at) {
		return at.Column
	}
	return 0
}

// reasonOf is the first line of a compiler's error: the rest draws the source.
func reasonOf(err error) string {
	var at *file.Error
	if errors.As(err, &at) {
		return at.Message
	}
	reason, _, _ := strings.Cut(err.Error(), "\n")
	return reason
}

// remedy is what to do about a compiler's reason.
func remedy(reason string) string {
	switch {
	case strings.HasPrefix(reason, "unknown name "):
		var names []string
		for i, event := 0, reflect.TypeFor[Event](); i < event.NumField(); i++ {
			if name := event.Field(i).Tag.Get("expr"); name != "" && name != "-" {
				names = append(names, name)
			}
		}
		return "use one of " + strings.Join(names, ", ") + ", or of the functions " + strings.Join(builtins(), ", ")
	case strings.Contains(reason, `Operator("=")`):
		return "things are compared with =="
	}
	return `write it as in sentiment < -0.5 and "vip" in tags`
}
