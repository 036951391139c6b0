package classifier

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/stages/classify"
)

func TestReadTable(t *testing.T) {
	for _, c := range []struct{ in, label, text string }{
		{"where is it\torder_status\ncancel it\tcancel\nwhere now\torder_status\n", "order_status", "where is it"},
		{"label\ttext\norder_status\twhere is it\ncancel\tcancel it\norder_status\twhere now\r\n", "order_status", "where is it"},
	} {
		got, err := ReadTable(strings.NewReader(c.in))
		if err != nil || len(got.Texts) != 3 || got.Labels[0] != c.label || got.Texts[0] != c.text {
			t.Errorf("%q gives %+v, %v", c.in, got, err)
		}
	}
	for _, bad := range []string{"", "a text alone\n", "a\t\n"} {
		if _, err := ReadTable(strings.NewReader(bad)); !errors.Is(err, ErrTable) {
			t.Errorf("%q gives %v", bad, err)
		}
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add("a\tb\nc\td e\n")
	f.Fuzz(func(t *testing.T, in string) {
		if got, err := ReadTable(strings.NewReader(in)); err == nil && len(got.Texts) != len(got.Labels) {
			t.Fatalf("%d texts, %d labels", len(got.Texts), len(got.Labels))
		}
	})
}

func TestLines(t *testing.T) {
	stage, err := classify.New(classify.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	in := "STOP\n{\"text\":\"ok\",\"asked\":\"offer\"}\nplease stop texting me\n\nwhere is my order"
	if err := Lines(stage, strings.NewReader(in), &out, func(int) {}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []string{`"opt_out_by":"keyword STOP"`, `"directive":"yes"`, `"opt_out":true`, `"unsure":true`, `"intent":"order_status"`} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d lacks %s: %q", i+1, want, lines)
		}
	}
	if err := Lines(stage, strings.NewReader("{\"text\":\"ok\",\"asked\":\"x\"}\n"), &out, func(int) {}); err == nil {
		t.Error("an unknown question is taken")
	}
}
