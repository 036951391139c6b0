package classifier

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/stages/classify"
	"github.com/handoff-dev/handoff/stages/classify/model"
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

func TestModelsOfShops(t *testing.T) {
	dir := t.TempDir()
	if err := CheckModel("", "acme"); err == nil || !strings.Contains(err.Error(), "classifier.models") {
		t.Errorf("without a directory: %v", err)
	}
	if err := CheckModel(dir, "acme"); err == nil || !strings.Contains(err.Error(), "acme.model") {
		t.Errorf("without the file: %v", err)
	}
	if err := CheckModel(dir, ""); err != nil {
		t.Errorf("a shop without a model: %v", err)
	}
	file := filepath.Join(dir, "acme.model")
	if err := os.WriteFile(file, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckModel(dir, "acme"); !errors.Is(err, model.ErrModel) {
		t.Errorf("a file that is none: %v", err)
	}
	if _, err := ReadModels(dir); !errors.Is(err, model.ErrModel) || !strings.Contains(err.Error(), file) {
		t.Errorf("a directory with a file that is none: %v", err)
	}
	table, err := ReadTable(strings.NewReader(brandTable()))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Train(table, "acme/1", io.Discard, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Train(table, "acme/1", io.Discard, nil, nil)
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("training again gives other bytes (%v)", err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	models, err := ReadModels(dir)
	if err != nil || models["acme"] == nil {
		t.Fatalf("read %v, %v", models, err)
	}
	stage, err := classify.New(classify.Config{Models: models})
	if err != nil {
		t.Fatal(err)
	}
	if read, _ := stage.Look("what does the warranty say", 0); read.GetIntent() == "warranty" {
		t.Error("a shop's model reads for everyone")
	}
	var report bytes.Buffer
	if err := EvalModel(models["acme"], table, &report); err != nil || !strings.Contains(report.String(), "warranty") {
		t.Errorf("the report is %q, %v", report.String(), err)
	}
}

// brandTable is a few messages of two labels and of none.
func brandTable() string {
	var out strings.Builder
	for _, thing := range []string{"tent", "boots", "stove", "rope", "kayak"} {
		for _, line := range []string{
			"rental\tcan I rent a ", "rental\trental price of a ", "warranty\twarranty for my ",
			"warranty\twhat does the warranty say about a ", "none\twhere is my ", "none\tcancel the ",
		} {
			out.WriteString(line + thing + "\n")
		}
	}
	return out.String()
}
