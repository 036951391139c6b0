package scripts

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/handoff-dev/handoff/pipeline/script"
)

// page is what support staff learn from.
const page = "../../../../docs/scripts.md"

// acme is the shop of the page's complaint: it lets agents answer what opted-out people write.
const acme = shopDocument + `
desk: {kind: zendesk, subdomain: acme, user: handoff@acme.example, token: "env:ACME_ZENDESK", webhook_secret: "env:ACME_HOOK"}
handoff: {answer_after_stop: true}
`

// blocks are the page's fenced texts of a kind.
func blocks(t *testing.T, kind string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		if m[1] == kind {
			all = append(all, m[2])
		}
	}
	return all
}

// scriptFile writes a script to where tests may write.
func scriptFile(t *testing.T, text string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("complaint.txt", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "complaint.txt"
}

// TestPageScripts: what the page shows as a script happens like that.
func TestPageScripts(t *testing.T) {
	shown := blocks(t, "script")
	if len(shown) == 0 {
		t.Fatal("the page shows no script")
	}
	for _, text := range shown {
		var out bytes.Buffer
		if same, err := RunFile(scriptFile(t, text), Options{Out: &out}); err != nil || !same {
			t.Errorf("%v\n%s", err, out.String())
		}
	}
}

// TestPageComplaint does what the page says: fill in, correct, see it fail; without the setting that is
// the cause it passes.
func TestPageComplaint(t *testing.T) {
	unfilled, parts, diffs := blocks(t, "script unfilled"), blocks(t, ""), blocks(t, "diff")
	if len(unfilled) != 1 || len(parts) != 2 || len(diffs) != 1 {
		t.Fatalf("the page's complaint is told in another way: %d, %d, %d blocks", len(unfilled), len(parts), len(diffs))
	}
	file := scriptFile(t, unfilled[0])
	var out bytes.Buffer
	if _, err := RunFile(file, Options{Out: &out, Settings: []byte(acme), Rewrite: true}); err != nil {
		t.Fatal(err)
	}
	filled, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(string(filled), parts[0]) {
		t.Fatalf("filled in is\n%s\nwhich does not end with\n%s", filled, parts[0])
	}
	corrected := strings.Replace(string(filled), parts[0], parts[1], 1)
	if err := os.WriteFile(file, []byte(corrected), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	same, err := RunFile(file, Options{Out: &out, Settings: []byte(acme)})
	if err != nil || same || out.String() != diffs[0] {
		t.Errorf("same %v, %v\n%s", same, err, out.String())
	}
	out.Reset()
	if same, err = RunFile(file, Options{Out: &out}); err != nil || !same {
		t.Errorf("without the setting: same %v, %v\n%s", same, err, out.String())
	}
}

// ruled is a script that a rule answers.
const ruled = `customer
Where is my order?
----
consent: conversational, was unknown (first message, account:sms:+15557770000)
list curious: the subscriber is on it (rule questions)
bot asked (turn 1): Where is my order?
`

// TestGivenRules: rules that are given are in force from the beginning, beside those of the settings and
// without a change to the script; bad ones are refused with their place.
func TestGivenRules(t *testing.T) {
	file := scriptFile(t, ruled)
	write := func(name, text string) string {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	rules := write("curious.yaml", `rules:
  - name: questions
    when: message_created
    if: {intent: order_status}
    then:
      - add_to_list: curious
`)
	run := func(opt Options) (same bool, out string, err error) {
		var b bytes.Buffer
		opt.Out = &b
		same, err = RunFile(file, opt)
		return same, b.String(), err
	}
	if same, out, err := run(Options{Rules: rules}); err != nil || !same {
		t.Errorf("with the rules: same %v, %v\n%s", same, err, out)
	}
	if same, out, err := run(Options{}); err != nil || same || !strings.Contains(out, "-list curious") {
		t.Errorf("without them: same %v, %v\n%s", same, err, out)
	}
	settings := shopDocument + "rules:\n  - {name: all, when: message_created, then: [{add_to_list: everybody}]}\n"
	if same, out, err := run(Options{Rules: rules, Settings: []byte(settings)}); err != nil || same ||
		!strings.Contains(out, "+list everybody: the subscriber is on it (rule all)") || strings.Contains(out, "-list curious") {
		t.Errorf("beside the settings': same %v, %v\n%s", same, err, out)
	}
	bad := write("bad.yaml", "rules:\n  - {name: x, when: message_created, then: [{dance: true}]}\n")
	if _, _, err := run(Options{Rules: bad}); err == nil || !strings.HasPrefix(err.Error(), "bad.yaml is refused: ") || !strings.Contains(err.Error(), "dance") {
		t.Errorf("bad rules: %v", err)
	}
	if _, _, err := run(Options{Rules: "none.yaml"}); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("rules that are not there: %v", err)
	}
}

// TestPageNamesEveryCommand: the page's table has each command and each argument.
func TestPageNamesEveryCommand(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for name, how := range script.Commands() {
		if !regexp.MustCompile("(?m)^\\|.*`" + name + "[ `]").Match(text) {
			t.Errorf("%s does not explain %s (%s)", page, name, how)
		}
		for _, m := range regexp.MustCompile(`\[([a-z-]+)=\]`).FindAllStringSubmatch(how, -1) {
			if !regexp.MustCompile("`" + name + "[^`|]*" + m[1] + "=").Match(text) {
				t.Errorf("%s does not show %s= of %s", page, m[1], name)
			}
		}
	}
}

// TestSyntaxErrors: what is no script is refused with the place, the reason, and what is allowed.
func TestSyntaxErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                                            `complaint.txt:1: there is no command; a script begins like`,
		"# only a remark\n":                                           `complaint.txt:1: there is no command`,
		"\n\nstop\n----\n":                                            `complaint.txt:3: there is no command "stop"; there are agent, asks, bot,`,
		"customer form=+1\nhi\n----\n":                                `complaint.txt:1: customer has no form=; allowed: customer [from=]`,
		"customer name=(Kim\nhi\n----\n":                              `complaint.txt:1: name=(Kim: the closing parenthesis is missing`,
		"customer =3\nhi\n----\n":                                     `complaint.txt:1: "=3": the name before = is missing`,
		"customer\nhi\n":                                              `complaint.txt:1: customer is not followed by a line of four dashes`,
		"customer\nhi\n\nwait 3h\n----\n":                             `complaint.txt:1: customer is not followed by a line of four dashes`,
		"customer\nhi\n---- \n":                                       `complaint.txt:3: the line below customer is "---- ": write four dashes, ----, and no space before or behind them`,
		"customer\nhi\n---\nnothing\n":                                `complaint.txt:3: the line below customer is "---"`,
		"hold\nhi\n----\n":                                            `complaint.txt:1: nothing may stand between hold and the ----`,
		"settings\n----\n":                                            `complaint.txt:1: settings needs a text below it`,
		"desk sideways\n----\n":                                       `complaint.txt:1: "sideways" is not understood after desk; allowed: desk [down|up|accept|revoked] [status=]`,
		"hold\n----\n----\nok\n":                                      `complaint.txt:1: what should happen begins with two lines ---- and must end with two`,
		"hold\n----\n----\nok\n----\n----\nhi\n":                      `complaint.txt:1: after the second pair of ---- there must be an empty line`,
		"hold\n----\n\nwait soon\n----\n":                             `complaint.txt:4: wait: "soon" is not a duration; write it like 90s, 30m or 24h`,
		"hold\n----\n\nagent\nhi\n----\n":                             `complaint.txt:4: agent: there is no ticket yet`,
		"customer from=4155550001\nhi\n----\n":                        `complaint.txt:1: customer: from=: "4155550001" is no number in E.164, e.g. +14155550123`,
		"customer from=\nhi\n----\n":                                  `complaint.txt:1: from= has no value`,
		"customer from=+14155550001 from=+14155550002\n----\n":        `complaint.txt:1: from= stands twice`,
		"customer public=maybe\nhi\n----\n":                           `complaint.txt:1: public=maybe is not understood after customer; allowed: yes, no`,
		"customer opt-out-type=halt\nhi\n----\n":                      `complaint.txt:1: opt-out-type=halt is not understood after customer; allowed: stop, start, help`,
		"platform to=+15550000000\nhi\n----\n":                        `complaint.txt:1: platform: the shop has no account +15550000000 on sms`,
		"platform asks=perhaps\nhi\n----\n":                           `complaint.txt:1: asks=perhaps is not understood after platform; allowed: yes, no`,
		"echo text=4\nhi\n----\n":                                     `complaint.txt:1: echo: no text was sent yet`,
		"delivery text=1 status=delivered\n----\n":                    `complaint.txt:1: delivery: no text was sent yet`,
		"customer\nSTOP\n----\n\ndelivery text=5 status=sent\n----\n": `complaint.txt:5: delivery: there is no text 5: 1 were sent`,
		"customer\nSTOP\n----\n\ndelivery\n----\n":                    `complaint.txt:5: delivery: say what the provider reports: status= is one of queued, sent, delivered, read, failed`,
		"delivery status=lost\n----\n":                                `complaint.txt:1: status=lost is not understood after delivery; allowed: queued, sent`,
		"desk status=foo\n----\n":                                     `complaint.txt:1: status=foo is not understood after desk; allowed: new, open, pending`,
		"desk status=solved assign=Kim\n----\n":                       `complaint.txt:1: desk says one thing at a time: assign= or status=`,
		"desk up status=solved\n----\n":                               `complaint.txt:1: desk says one thing at a time: up or status=`,
		"desk refuse=never\n----\n":                                   `complaint.txt:1: desk: refuse=never is no status of an HTTP answer`,
		"provider\n----\n":                                            `complaint.txt:1: provider: say what is with the provider: provider [down|up] [fail=]`,
		"link other=+1\n----\n":                                       `complaint.txt:1: other=: "+1" is no number in E.164`,
		"explain from=+14155O50001\n----\n":                           `complaint.txt:1: from=: "+14155O50001" is no number in E.164`,
		"import subscribed zone=Mars\n----\n":                         `complaint.txt:1: import: zone=Mars is no IANA time zone`,
		"import subscribed at=yesterday\n----\n":                      `complaint.txt:1: import: at=yesterday is not a duration`,
		"rules nowhere\n----\n":                                       `complaint.txt:1: rules: there is no file nowhere, and no rules of that name ship`,
		"settings\nfoo: [\n----\n":                                    `complaint.txt:1: settings: it is no YAML: line 1 of these settings, column 6: sequence end token`,
		"customer\nhi\n----\n\nbot\nhi\n----\n\nbot\nhi\n----\n":      `complaint.txt:9: bot: the bot was not asked anything`,
	} {
		_, err := RunFile(scriptFile(t, text), Options{Out: &bytes.Buffer{}})
		var bad *script.SyntaxError
		if !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestMarkedFile: a file that begins with a byte order mark, as some editors write it, differs in what happens only.
func TestMarkedFile(t *testing.T) {
	var out bytes.Buffer
	same, err := RunFile(scriptFile(t, "\ufeffhold\r\n----\r\nnothing\r\n"), Options{Out: &out})
	if err != nil || same || !strings.Contains(out.String(), "\n hold\n ----\n-nothing\n+ok\n") {
		t.Errorf("same %v, %v\n%s", same, err, out.String())
	}
}

// TestOneFormat: a script reads the same to the binary and to the tests, which use datadriven; and what
// is written back where nothing differs is what was read.
func TestOneFormat(t *testing.T) {
	for _, name := range scriptFiles(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := script.Parse(name, text)
		if err != nil {
			t.Error(err)
			continue
		}
		var want []string
		for _, s := range f.Steps {
			want = append(want, s.Want)
		}
		if again := f.Render(want); !bytes.Equal(again, text) {
			t.Errorf("%s is written back differently:\n%s", name, difference(f, text, again, false))
		}
		at := 0
		datadriven.RunTest(t, name, func(t *testing.T, d *datadriven.TestData) string {
			s := f.Steps[at]
			at++
			if c := command(d); c.String() != s.Command.String() || d.Expected != s.Want {
				t.Errorf("%s:%d is read as\n%s----\n%s", name, s.Line, s.Command, s.Want)
			}
			return d.Expected
		})
		if at != len(f.Steps) {
			t.Errorf("%s: %d of %d steps", name, at, len(f.Steps))
		}
	}
}

// TestDifference: parts that are far from each other stand apart, with the lines' numbers of both sides.
func TestDifference(t *testing.T) {
	f, err := script.Parse("x", []byte("hold\n----\nok\n\nrelease\n----\nnothing\n\nrestart\n----\nok\n\nhold\n----\n\n# the end\n\nrelease\n----\nnothing\n"))
	if err != nil {
		t.Fatal(err)
	}
	happened := f.Render([]string{"ok\nand more\n", "nothing\n", "ok\n", "ok\n", "nothing\n"})
	written := f.Render([]string{f.Steps[0].Want, f.Steps[1].Want, f.Steps[2].Want, f.Steps[3].Want, f.Steps[4].Want})
	want := red + "--- x (expected)" + plain + "\n" + green + "+++ x (happened)" + plain + "\n" +
		cyan + "@@ -1,6 +1,7 @@ hold" + plain + "\n hold\n ----\n ok\n" + green + "+and more" + plain + "\n \n release\n ----\n" +
		cyan + "@@ -12,6 +13,7 @@ hold" + plain + "\n \n hold\n ----\n" + green + "+ok" + plain + "\n \n # the end\n \n"
	if got := difference(f, written, happened, true); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// scriptFiles are the scripts that prove behaviours.
func scriptFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../../../pipeline/script/testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	return files
}
