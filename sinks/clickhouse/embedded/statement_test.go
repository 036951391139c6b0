package embedded

import (
	"strings"
	"testing"
)

func TestOutputFormat(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 1":                                   "",
		"SELECT 1 FORMAT JSON":                       "JSON",
		"SELECT 1 format TSV;":                       "TSV",
		"SELECT 1 FORMAT Native SETTINGS a = 1":      "Native",
		"SELECT 1 SETTINGS a = 1 FORMAT CSV":         "CSV",
		"SELECT 1 AS format":                         "",
		"SELECT format FROM t":                       "",
		"SELECT format x FROM t":                     "",
		"SELECT 'FORMAT JSON'":                       "",
		"SELECT 1 -- FORMAT JSON":                    "",
		"SELECT 1 /* FORMAT JSON */ FORMAT CSV -- x": "CSV",
		"SELECT (SELECT 1 FORMAT x)":                 "",
		"SELECT \"a\"\" FORMAT b\" FORMAT c":         "c",
		"SELECT $tag$ FORMAT a $tag$ FORMAT b":       "b",
		"SELECT '\\' FORMAT a' FORMAT b":             "b",
		"SELECT {x:String} FORMAT Vertical":          "Vertical",
		"":                                           "",
	} {
		if got, _ := outputFormat(sql); got != want {
			t.Errorf("%q: format %q, expected %q", sql, got, want)
		}
	}
}

func TestSplitInsert(t *testing.T) {
	for _, c := range []struct{ text, head, format, data string }{
		{"INSERT INTO t FORMAT Native", "INSERT INTO t ", "Native", ""},
		{"insert into t (a, b) values (1, 2)", "insert into t (a, b) ", "Values", " (1, 2)"},
		{"INSERT INTO TABLE db.t FORMAT CSV\n1,2\n", "INSERT INTO TABLE db.t ", "CSV", "1,2\n"},
		{"INSERT INTO t FORMAT CSV 1,2", "INSERT INTO t ", "CSV", "1,2"},
		{"INSERT INTO t FORMAT CSV\r\n\n1", "INSERT INTO t ", "CSV", "\n1"},
		{"INSERT INTO t SETTINGS async_insert = 0, x = 'VALUES' FORMAT TSV\n", "INSERT INTO t SETTINGS async_insert = 0, x = 'VALUES' ", "TSV", ""},
		{"/* c */ INSERT INTO `values`.`format` VALUES (1)", "/* c */ INSERT INTO `values`.`format` ", "Values", " (1)"},
		{"INSERT INTO values VALUES (1)", "INSERT INTO values ", "Values", " (1)"},
		{"INSERT INTO format FORMAT CSV 1", "INSERT INTO format ", "CSV", "1"},
		{"INSERT INTO table FORMAT CSV 1", "INSERT INTO table ", "CSV", "1"},
		{"INSERT INTO a.values (select, format) VALUES (1)", "INSERT INTO a.values (select, format) ", "Values", " (1)"},
		{"INSERT INTO FUNCTION null('a UInt8') FORMAT CSV 1", "INSERT INTO FUNCTION null('a UInt8') ", "CSV", "1"},
		{"INSERT INTO t (a)", "INSERT INTO t (a)", "Values", ""},
	} {
		got, ok := splitInsert(c.text)
		if !ok || got.head != c.head || got.format != c.format || c.text[got.data:] != c.data {
			t.Errorf("%q: %v %+v, data %q", c.text, ok, got, c.text[got.data:])
		}
	}
	for _, text := range []string{
		"", "SELECT 1", "INSERT INTO t SELECT 1", "INSERT INTO t (a) SELECT 1 FORMAT CSV", "INSERT INTO t WITH 1 AS x SELECT x",
		"INSERT INTO t (SELECT 1)", "INSERT INTO t ((SELECT 1))", "INSERT INTO t FROM INFILE 'x' FORMAT CSV", "INSERT INTO t; SELECT 1",
		"INSERT INTO t FORMAT 'x'", "INSERT INTO t FORMAT CSV SETTINGS a = 1", "EXPLAIN INSERT INTO t VALUES (1)",
	} {
		if got, ok := splitInsert(text); ok {
			t.Errorf("%q taken as an insert with data: %+v", text, got)
		}
	}
}

// FuzzStatement: splitting never fails, never loses a byte, and the head that
// goes to the engine never contains the data.
func FuzzStatement(f *testing.F) {
	for _, s := range []string{
		"INSERT INTO t VALUES (1)", "INSERT INTO t FORMAT CSV\n1", "SELECT 1 FORMAT JSON", "SELECT $a$ $a$", "insert into \"a\"\"b\" values",
		"INSERT INTO t (a, `b`) SETTINGS x = 'y' FORMAT Native\n\x00\x01", "/* open", "'open", "$open$ text", "--", "INSERT", "INSERT INTO",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := scanner{text: text}
		last := 0
		for {
			tok := s.next()
			if tok.kind == tokenEnd {
				break
			}
			if tok.start < last || tok.end <= tok.start || tok.end > len(text) {
				t.Fatalf("token %+v after %d in %q", tok, last, text)
			}
			last = tok.end
		}
		if ins, ok := splitInsert(text); ok {
			if ins.data < len(ins.head) || ins.data > len(text) || !strings.HasPrefix(text, ins.head) || ins.format == "" {
				t.Fatalf("%q split as %+v", text, ins)
			}
		}
		if name, ok := outputFormat(text); ok && !strings.Contains(text, name) {
			t.Fatalf("%q has no format %q", text, name)
		}
		_ = isSelect(text)
	})
}
