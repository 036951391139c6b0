package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// command runs the binary with what stands on its standard input, and returns what it wrote and how it ended.
func command(t *testing.T, in string, args ...string) (out, errs string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Getenv(binaryVariable), args...)
	cmd.Stdin = strings.NewReader(in)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// reading is a line of `handoff classify`, with every field that it promises.
type reading struct {
	Directive  *string  `json:"directive"`
	OptOut     *bool    `json:"opt_out"`
	OptOutBy   *string  `json:"opt_out_by"`
	Possible   *bool    `json:"opt_out_possible"`
	Intent     *string  `json:"intent"`
	Score      *float64 `json:"score"`
	Unsure     *bool    `json:"unsure"`
	OutOfScope *bool    `json:"out_of_scope"`
	Sentiment  *float64 `json:"sentiment"`
	Language   *string  `json:"language"`
}

func readings(t *testing.T, out string) []reading {
	t.Helper()
	var all []reading
	for line := range strings.Lines(out) {
		var r reading
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			t.Fatalf("the line %q: %v", line, err)
		}
		if r.Directive == nil || r.OptOut == nil || r.OptOutBy == nil || r.Possible == nil || r.Intent == nil || r.Score == nil ||
			r.Unsure == nil || r.OutOfScope == nil || r.Sentiment == nil || r.Language == nil {
			t.Fatalf("the line %q lacks a field", line)
		}
		all = append(all, r)
	}
	return all
}

func TestClassify(t *testing.T) {
	lines := []struct{ in, directive, intent string }{
		{"STOP", "stop", ""},
		{"where is my order", "", "order_status"},
		{`{"text":"ok","asked":"offer"}`, "yes", ""},
		{`{"text":"ok"}`, "", ""},
		{`{"text":"yes","asked":"optin"}`, "yes", ""},
		{"please stop texting me\r", "stop", ""},
		{"", "", ""},
		{`{"text":"where is my \"order\" \u0000?"}`, "", "order_status"},
		{`{not json`, "", ""},
		{"HELP", "help", ""},
	}
	var in strings.Builder
	for _, l := range lines {
		in.WriteString(l.in + "\n")
	}
	out, errs, code := command(t, in.String(), "classify")
	if code != 0 || errs != "" {
		t.Fatalf("ended with %d: %s", code, errs)
	}
	got := readings(t, out)
	if len(got) != len(lines) {
		t.Fatalf("%d readings of %d lines", len(got), len(lines))
	}
	for i, want := range lines {
		if *got[i].Directive != want.directive || want.intent != "" && *got[i].Intent != want.intent || *got[i].OptOut != (want.directive == "stop") {
			t.Errorf("%q is read as %q, %q", want.in, *got[i].Directive, *got[i].Intent)
		}
		if *got[i].OptOut && *got[i].OptOutBy == "" {
			t.Errorf("%q opts out by nothing", want.in)
		}
	}
}

// Many lines come out in their order, however they fall into batches.
func TestClassifyKeepsTheOrder(t *testing.T) {
	var in strings.Builder
	for i := range 20_000 {
		if i%7 == 0 {
			in.WriteString("STOP\n")
		} else {
			fmt.Fprintf(&in, "where is my order %d\n", i)
		}
	}
	out, errs, code := command(t, in.String(), "classify")
	if code != 0 {
		t.Fatalf("ended with %d: %s", code, errs)
	}
	got := readings(t, out)
	if len(got) != 20_000 {
		t.Fatalf("%d readings", len(got))
	}
	for i, r := range got {
		if *r.OptOut != (i%7 == 0) {
			t.Fatalf("reading %d is another line's", i)
		}
	}
}

func TestClassifyRefusesBadLines(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"an unknown question": {"STOP\n{\"text\":\"ok\",\"asked\":\"weather\"}\n", "line 2"},
		"no text":             {"{\"asked\":\"offer\"}\n", "line 1"},
		"text of a number":    {"a\nb\n{\"text\":7}\n", "line 3"},
	} {
		out, errs, code := command(t, c.in, "classify")
		if code == 0 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: ended with %d, %q; want %q named", name, code, errs, c.want)
		}
		if n := strings.Count(c.in, "\n") - 1; strings.Count(out, "\n") != n {
			t.Errorf("%s: %d readings of the %d good lines before it", name, strings.Count(out, "\n"), n)
		}
	}
	file := filepath.Join(t.TempDir(), "none.model")
	if err := os.WriteFile(file, []byte("no model"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := command(t, "hi\n", "classify", "--model", file); code == 0 || !strings.Contains(errs, "none.model") {
		t.Errorf("a file that is no model: %d, %q", code, errs)
	}
}

// TestSignalEndsFilter: an interrupt ends a command that reads its input, whether it comes or not.
func TestSignalEndsFilter(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Getenv(binaryVariable), "classify")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "STOP\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(answer, "keyword STOP") {
		t.Fatalf("%q, %v", answer, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it ended as if its input had")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on after an interrupt")
	}
}

// rentals are labelled messages of a shop that rents and repairs, and of none of its labels.
func rentals() string {
	var out strings.Builder
	var things []string
	for _, kind := range strings.Fields("old new red blue green large small heavy light cheap wooden plastic folding spare rusty dry") {
		for _, thing := range strings.Fields("tent boots stove rope kayak paddle helmet canoe lamp mat bike ski sled pump jacket bottle") {
			things = append(things, kind+" "+thing)
		}
	}
	for _, thing := range things {
		for _, line := range []string{
			"rental\tcan I rent a ", "rental\trental price of a ", "rental\thow long may I rent the ",
			"warranty\twarranty for my ", "warranty\twhat does the warranty say about a ", "warranty\tis there a warranty on the ",
			"none\twhere is my ", "none\tcancel the ", "none\tthanks for the ",
		} {
			out.WriteString(line + thing + "\n")
		}
	}
	return out.String()
}

func TestTrainAndEval(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "brand.tsv")
	if err := os.WriteFile(data, []byte(rentals()), 0o600); err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(dir, "brand.model")
	out, errs, code := command(t, "", "train", "--data", data, "--out", model)
	if code != 0 {
		t.Fatalf("ended with %d: %s", code, errs)
	}
	for _, want := range []string{"Held back, 1 of 5 messages", "rental", "warranty"} {
		if !strings.Contains(out, want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	if errs != "" && !strings.Contains(errs, "steps") { // a short training shows no progress
		t.Errorf("progress is %q", errs)
	}
	again := filepath.Join(dir, "again", "brand.model")
	if err := os.Mkdir(filepath.Dir(again), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := command(t, "", "train", "--data", data, "--out", again); code != 0 {
		t.Fatalf("training again ended with %d: %s", code, errs)
	}
	first, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := os.ReadFile(again); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same messages made another model (%v)", err)
	}
	out, errs, code = command(t, "", "eval", "--data", data, "--model", model)
	if code != 0 || !strings.Contains(out, "rental") || !strings.Contains(out, "warranty") {
		t.Errorf("eval ended with %d: %s%s", code, out, errs)
	}
	out, _, _ = command(t, "can I rent a tent\nSTOP\nplease stop texting me\n", "classify", "--model", model)
	got := readings(t, out)
	if len(got) != 3 || *got[0].Intent != "rental" || !*got[1].OptOut || !*got[2].OptOut {
		t.Errorf("with the brand's model the lines are read as %s", out)
	}
	shops := filepath.Join(dir, "shop.tsv")
	if err := os.WriteFile(shops, []byte("order_status\twhere is my order\ncancel_order\tcancel my order please\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := command(t, "", "eval", "--data", shops); code != 0 || !strings.Contains(out, "order_status") {
		t.Errorf("eval of what ships ended with %d: %s%s", code, out, errs)
	}
}

func TestTrainRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ data, want string }{
		"one label":        {"rental\ta tent\nrental\ta boat\n", "two labels are the least"},
		"a line without":   {"rental\ta tent\nno label here\n", "line 2"},
		"an empty file":    {"", "there are none"},
		"text not UTF-8":   {"rental\ta tent\nx\t\xff\n", "line 2"},
		"nothing of a tab": {"just words\n", "line 1"},
	} {
		data := filepath.Join(dir, "data.tsv")
		if err := os.WriteFile(data, []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "out.model")
		_, errs, code := command(t, "", "train", "--data", data, "--out", out)
		if code == 0 || !strings.Contains(errs, c.want) {
			t.Errorf("%s: ended with %d, %q; want %q", name, code, errs, c.want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: a model was written", name)
		}
	}
	if _, errs, code := command(t, "", "eval"); code == 0 || !strings.Contains(errs, "--data") {
		t.Errorf("eval of nothing: %d, %q", code, errs)
	}
}

// A blind set is measured without a text of it being shown, not even in what is wrong with it.
func TestEvalBlind(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("optout.tsv", "en\tplease stop texting me zebra\nfr\tgiraffe\n")
	write("notoptout.tsv", "en\twhere is the zebra\n")
	write("intents.tsv", "en\torder_status\twhere is my order zebra\n")
	out, errs, code := command(t, "", "eval", "--blind", dir)
	if code != 0 || !strings.Contains(out, "opt-outs taken") || strings.Contains(out+errs, "zebra") || strings.Contains(out+errs, "giraffe") {
		t.Errorf("ended with %d: %s%s", code, out, errs)
	}
	write("optout.tsv", "zebra\n")
	if out, errs, code := command(t, "", "eval", "--blind", dir); code == 0 || !strings.Contains(errs, "optout.tsv line 1") || strings.Contains(out+errs, "zebra") {
		t.Errorf("a bad line ended with %d: %s%s", code, out, errs)
	}
}
