package settings

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Changes lists what differs from one version to another, a key each, e.g. "handoff.pause_for: 24h0m0s ->
// 8h0m0s".
func Changes(before, after *Shop) []string {
	var all []string
	changes(&all, "", reflect.ValueOf(*before), reflect.ValueOf(*after))
	slices.Sort(all)
	return all
}

// changes compares two values of one type; those of a struct key by key, of a list and map entry by entry.
func changes(to *[]string, path string, a, b reflect.Value) {
	if reflect.DeepEqual(a.Interface(), b.Interface()) {
		return
	}
	switch a.Kind() {
	case reflect.Struct:
		for i := range a.NumField() {
			if key := a.Type().Field(i).Tag.Get("yaml"); key != "" {
				changes(to, join(path, key), a.Field(i), b.Field(i))
			}
		}
	case reflect.Map:
		for _, key := range a.MapKeys() {
			changes(to, join(path, key.String()), a.MapIndex(key), orZero(b.MapIndex(key), a.Type().Elem()))
		}
		for _, key := range b.MapKeys() {
			if !a.MapIndex(key).IsValid() {
				changes(to, join(path, key.String()), reflect.Zero(a.Type().Elem()), b.MapIndex(key))
			}
		}
	default:
		if a.Kind() != reflect.Slice || a.Type().Elem().Kind() == reflect.String {
			*to = append(*to, fmt.Sprintf("%s: %s -> %s", path, show(a), show(b)))
			return
		}
		for i := range max(a.Len(), b.Len()) {
			changes(to, fmt.Sprintf("%s[%d]", path, i), entry(a, i), entry(b, i))
		}
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// entry is an item of a list; behind its end there is nothing.
func entry(list reflect.Value, i int) reflect.Value {
	if i < list.Len() {
		return list.Index(i)
	}
	return reflect.Zero(list.Type().Elem())
}

func orZero(v reflect.Value, t reflect.Type) reflect.Value {
	if v.IsValid() {
		return v
	}
	return reflect.Zero(t)
}

// show writes a value as people read it.
func show(v reflect.Value) string {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "-"
		}
		v = v.Elem()
	}
	d, isDuration := v.Interface().(time.Duration)
	switch {
	case isDuration:
		return d.String()
	case v.Kind() == reflect.String && v.Len() > 0:
		return fmt.Sprintf("%q", v.String())
	case v.IsZero() && v.Kind() != reflect.Bool && v.Kind() != reflect.Int && v.Kind() != reflect.Float64:
		return "-"
	}
	return fmt.Sprintf("%v", v.Interface())
}
