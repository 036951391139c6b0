package config

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

// Print writes the configuration as YAML, every key with its value. Passwords are references in the
// first place; even those are masked down to where they point.
func (c *Config) Print(w io.Writer) error { return printStruct(w, reflect.ValueOf(*c), "") }

func printStruct(w io.Writer, v reflect.Value, indent string) error {
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Tag.Get("koanf"), v.Field(i)
		var err error
		switch {
		case f.Kind() == reflect.Struct:
			if _, err = fmt.Fprintf(w, "%s%s:\n", indent, name); err == nil {
				err = printStruct(w, f, indent+"  ")
			}
		default:
			_, err = fmt.Fprintf(w, "%s%s: %s\n", indent, name, shown(f))
		}
		if err != nil {
			return fmt.Errorf("print configuration: %w", err)
		}
	}
	return nil
}

func shown(f reflect.Value) string {
	switch x := f.Interface().(type) {
	case time.Duration:
		return x.String()
	case []string:
		return "[" + strings.Join(x, ", ") + "]"
	}
	if f.Type().Name() == "SecretRef" && f.String() != "" {
		scheme, _, _ := strings.Cut(f.String(), ":")
		return scheme + ":********"
	}
	if f.Kind() == reflect.String {
		return fmt.Sprintf("%q", f.String())
	}
	return fmt.Sprint(f.Interface())
}
