package classifier

import (
	"bufio"
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
	for bad, want := range map[string]string{
		"": "there are none", "a text alone\n": "line 1: want a label", "a\t\n": "line 1: want a label", "1\ta\tb\n": "line 1: has 3 columns", "\n\na\t\xff\n": "line 3: is not UTF-8",
		"\n\na\tb\n" + strings.Repeat("a", maxLine+1): "line 4: is longer than",
	} {
		if _, err := ReadTable(strings.NewReader(bad)); !errors.Is(err, ErrTable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q gives %v, want %s", bad, err, want)
		}
	}
}

// TestEvalTellsLabelsItDoesNotKnow: of the model that ships as of a shop's own.
func TestEvalTellsLabelsItDoesNotKnow(t *testing.T) {
	var report bytes.Buffer
	table := &Table{Labels: []string{"order_status", "warranty", "none"}, Texts: []string{"where is my order", "the warranty", "hello"}}
	if err := EvalShipped(table, &report); err != nil || !strings.HasPrefix(report.String(), "Messages with labels that the model does not know: 1; they count as having none.\n") {
		t.Errorf("%v\n%s", err, report.String())
	}
}

// TestTrainRefuses: what cannot be learned or measured is refused with the reason, and messages that two labels
// claim are told.
func TestTrainRefuses(t *testing.T) {
	for in, want := range map[string]string{
		brandTable() + "return\tsend it back\n":                     "return has 1 different messages",
		brandTable() + strings.Repeat("return\tsend it back\n", 30): "return has 1 different messages",
		"rental\tcan I rent\nrental\tmay I rent it\n":               `all are labelled "rental"`,
		"none\ta b\nnone\ta c\nnone\ta d\n":                         "no message has a label",
	} {
		table, err := ReadTable(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Train(table, "x/1", io.Discard, nil, nil); !errors.Is(err, ErrTable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	table, err := ReadTable(strings.NewReader(brandTable() + "warranty\tcan I rent a tent\n"))
	if err != nil {
		t.Fatal(err)
	}
	var report bytes.Buffer
	if _, err := Train(table, "x/1", &report, nil, nil); err != nil || !strings.HasPrefix(report.String(), `Messages with more than one label: 1, e.g. "can I rent a tent" is rental and warranty`) {
		t.Errorf("%v\n%s", err, report.String())
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
	in := "STOP\n{\"text\":\"ok\",\"asked\":\"offer\"}\nplease stop texting me\n\nLiked “Reply STOP to unsubscribe”\nwhere is my order"
	if err := Lines(stage, strings.NewReader(in), &out, func(int) {}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range []string{`"opt_out_by":"keyword STOP"`, `"directive":"yes"`, `"opt_out":true`, `"unsure":true`, `"opt_out_possible":false,"intent":"other"`, `"intent":"order_status"`} {
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("line %d lacks %s: %q", i+1, want, lines)
		}
	}
	for _, c := range []struct{ in, want string }{
		{`{"text":"ok","asked":"x"}`, `line 2: asked is "x": want offer, optin, promo or nothing`},
		{`{"text":"ok`, `line 2: begins as JSON and is none (unexpected end of JSON input): want {"text": "ok", "asked": "offer"}`},
		{`{ "text":"ok"} STOP`, "line 2: begins as JSON and is none"},
		{`{"text":5}`, "line 2: text is no string: want {"},
		{`{"asked":"offer"}`, "line 2: the JSON object has no text: want {"},
		{`{"text":null}`, "line 2: the JSON object has no text: want {"},
	} {
		out.Reset()
		err := Lines(stage, strings.NewReader("STOP\n"+c.in+"\nSTOP\n"), &out, func(int) {})
		if !errors.Is(err, ErrLine) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.in, err, c.want)
		}
		if strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: the line before it is not read alone: %q", c.in, out.String())
		}
	}
	out.Reset()
	if err := Lines(stage, strings.NewReader("{not an object}\n{\n\ufeff{\"text\":\"STOP\"}\r\n[1]\n"), &out, func(int) {}); err != nil {
		t.Errorf("messages with braces: %v", err)
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 5 || !strings.Contains(lines[2], `"keyword STOP"`) {
		t.Errorf("messages with braces: %q", lines)
	}
}

// TestLinesAnswer: whoever waits for the reading of a line before they write the next gets it, and is told of a bad
// line though they write no more.
func TestLinesAnswer(t *testing.T) {
	stage, err := classify.New(classify.Config{})
	if err != nil {
		t.Fatal(err)
	}
	in, write := io.Pipe()
	read, out := io.Pipe()
	defer write.Close()
	ended := make(chan error, 1)
	go func() {
		ended <- Lines(stage, in, out, func(int) {})
		out.Close()
	}()
	answers := bufio.NewReader(read)
	for _, text := range []string{"STOP", "where is my order"} {
		if _, err := io.WriteString(write, text+"\n"); err != nil {
			t.Fatal(err)
		}
		if answer, err := answers.ReadString('\n'); err != nil || !strings.Contains(answer, `"directive"`) {
			t.Fatalf("%s: %q, %v", text, answer, err)
		}
	}
	if _, err := io.WriteString(write, "{\"text\":7}\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrLine) || !strings.HasPrefix(err.Error(), "line 3: ") {
		t.Errorf("ended with %v", err)
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
