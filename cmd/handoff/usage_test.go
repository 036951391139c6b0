package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// at runs a command line without a cluster.
func at(t *testing.T, args ...string) (out, problems string, code int) {
	t.Helper()
	return captured(t, func() int { return run(args) })
}

// fileOf writes a file to where tests may write.
func fileOf(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// ofModelSpring is a shop's document that names a model of its own.
const ofModelSpring = "shop: acme\nname: Acme\nsupport_contact: help@acme.example\nclassifier:\n  model: spring\n" +
	"accounts:\n- {channel: sms, account: \"+15557770000\", provider: twilio, user: AC1, secret: \"env:TOKEN\"}\n"

// TestWrongUsage: what is asked wrongly is refused with exit code 2, and what is right, on the error stream alone.
func TestWrongUsage(t *testing.T) {
	ofModel := fileOf(t, "model.yaml", ofModelSpring)
	unknown := fileOf(t, "bad.yaml", "kafka:\n  brokerz: x\n")
	table := fileOf(t, "one.tsv", "rental\tcan I rent\nrental\tmay I rent it\n")
	for _, c := range []struct {
		args string
		want string
	}{
		{"", "Commands:\n"},
		{"clasify", `unexpected argument clasify, did you mean "classify"?; see "handoff --help"`},
		{"state", `expected one of "get", "scan"; see "handoff state --help"`},
		{"state get consent", `see "handoff state get --help"`},
		{"lag --nope", `unknown flag --nope; see "handoff lag --help"`},
		{"state get consent acme", `handoff: bad record key "acme": want shop|address`},
		{"state get letters acme|+14155550001", `handoff: there is no stage "letters"; the stages are classify, consent, escalate, deliver, analytics`},
		{"state scan consent --kind=letter", `--kind: there is no kind "letter"; the kinds are entry, timer, call`},
		{"run letters", `the stages are classify, consent, escalate, deliver, analytics, or all`},
		{"dlq list --stage letters", `--stage: there is no stage "letters"; the stages are classify`},
		{"reset letters", `there is no stage "letters"; the stages are classify`},
		{"config print --config " + unknown, "kafka.brokerz: is not a setting"},
		{"config print --set kafka.partitions=many", `kafka.partitions`},
		{"dev --set kafka.brokers=a:9092", "the house on this machine has a configuration of its own"},
		{"dev --config " + unknown, "the house on this machine has a configuration of its own and would not read " + unknown},
		{"train --data " + table + " --out " + t.TempDir(), "is a directory: name a file in it"},
		{"train --data " + table + " --out " + filepath.Join(t.TempDir(), "none", "x.model"), "--out: "},
		{"train --data " + table + " --out " + filepath.Join(t.TempDir(), "x.model"), table + `: labelled messages: all are labelled "rental"`},
		{"train --data " + table + " --out=", "--out: name a file, such as brand.model"},
		{"train --data " + table + " --out " + table, "one.tsv holds the messages: name another file"},
		{"train --data " + table + ".none --out x.model", "no such file"},
		{"settings check " + fileOf(t, "utf16.yaml", "\xff\xfes\x00h\x00o\x00p\x00"), "utf16.yaml:1:1: is not UTF-8: save it as UTF-8"},
		{"settings check " + fileOf(t, "latin.yaml", "shop: acme\nname: Caf\xe9\n"), "latin.yaml:2:10: is not UTF-8: save it as UTF-8"},
		{"settings check " + ofModel + " --set classifier.models=" + t.TempDir(), "model.yaml:5:10: classifier.model: is \"spring\", but there is no spring.model in "},
		{"rules check -f " + fileOf(t, "empty.yaml", "# nothing\n"), "empty.yaml holds neither rules nor settings"},
		{"consent import --shop acme " + fileOf(t, "empty.csv", ""), "empty.csv: line 1: the file is empty; it begins with a header"},
		{"eval --blind " + t.TempDir(), "has none of optout.tsv, notoptout.tsv and intents.tsv"},
		{"eval --blind " + t.TempDir() + " --data " + table, "leave out --data and --model"},
		{"eval", "say with --data what to read"},
	} {
		out, problems, code := at(t, strings.Fields(c.args)...)
		if code != exitUsage || out != "" || !strings.Contains(problems, c.want) || strings.Contains(problems, "usage: ") {
			t.Errorf("handoff %s: exit %d, out %q\n%s\nwant %s", c.args, code, out, problems, c.want)
		}
	}
}

// TestModelNotLookedFor: a check that cannot know whether the shop's model is there says so.
func TestModelNotLookedFor(t *testing.T) {
	file := fileOf(t, "model.yaml", ofModelSpring)
	out, problems, code := at(t, "settings", "check", file)
	if want := "acme: in order, but whether there is a model \"spring\" was not checked: classifier.models is not set here\n"; code != 0 || out != want {
		t.Errorf("exit %d, out %q\n%s", code, out, problems)
	}
}

// TestKafkaAway: who gives a command while Kafka is away is told so at once, in the same words whatever the command.
func TestKafkaAway(t *testing.T) {
	rows := fileOf(t, "rows.csv", "address,channel,status,time,source\n+14155550001,sms,subscribed,2026-01-02T03:04:05Z,checkout\n")
	shop := filepath.Join("..", "..", "examples", "shops", "acme.yaml")
	for _, args := range []string{
		"lag", "state get consent acme|+14155550001", "state scan consent", "topics apply", "dlq list", "dlq show 0/0",
		"dlq replay 0/0", "dlq drop 0/0 --reason x", "reset escalate", "explain acme +14155550001",
		"consent show acme +14155550001", "consent check acme +14155550001", "consent export acme", "consent possible acme",
		"consent sweep acme", "consent decide acme +14155550001 keep", "consent link acme +14155550001 +14155550002",
		"consent unlink acme +14155550001", "consent import --shop acme " + rows, "settings apply -f " + shop, "settings diff " + shop,
	} {
		began := time.Now()
		_, problems, code := at(t, append(strings.Fields(args), "--set", "kafka.brokers=127.0.0.1:1", "--set", "state_dir="+t.TempDir())...)
		if code != exitFailed || !strings.Contains(problems, "the Kafka cluster does not answer, asked at 127.0.0.1:1") || strings.Count(problems, "\n") != 1 {
			t.Errorf("%s: exit %d\n%s", args, code, problems)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%s: took %v", args, took)
		}
	}
	out, problems, code := at(t, "consent", "import", "--shop", "acme", "--dry-run", rows, "--set", "kafka.brokers=127.0.0.1:1")
	if code != 0 || !strings.Contains(out, "1 rows would be imported, 0 are bad") || !strings.Contains(problems, "its accounts and channels were not checked") {
		t.Errorf("a dry run: exit %d\n%s%s", code, out, problems)
	}
}

// TestInterrupted: who ends a command by a signal reads that they did, not Go's words for it.
func TestInterrupted(t *testing.T) {
	_, problems, code := captured(t, func() int {
		return exitCode(fmt.Errorf("import: %w; what was imported stays", context.Canceled))
	})
	if code != exitFailed || problems != "handoff: import: interrupted before it was done; what was imported stays\n" {
		t.Errorf("exit %d, %q", code, problems)
	}
}

// TestScriptRunAll: of several scripts each is run, also beside one that is none, and rules that are refused are with
// their own file's lines.
func TestScriptRunAll(t *testing.T) {
	good, bad, other := fileOf(t, "good.txt", "hold\n----\nok\n"), fileOf(t, "bad.txt", "hold\n"), fileOf(t, "other.txt", "hold\n----\nnothing\n")
	out, problems, code := at(t, "script", "run", bad, other, good)
	if code != exitUsage || !strings.Contains(out, good+": as expected") || !strings.Contains(out, other+": something else happened") ||
		!strings.Contains(problems, "handoff: "+bad+":1: hold is not followed by") {
		t.Errorf("exit %d\n%s%s", code, out, problems)
	}
	if _, problems, code = at(t, "script", "run", other, good); code != exitFailed || !strings.Contains(problems, "something else happened than the scripts say: 1 of 2") {
		t.Errorf("exit %d\n%s", code, problems)
	}
	rules := fileOf(t, "rules.yaml", "rules:\n  - name: x\n    when: message_created\n    then: [{dance: true}]\n")
	if _, problems, code = at(t, "script", "run", "--rules", rules, good); code != exitUsage || !strings.Contains(problems, rules+":4:") {
		t.Errorf("exit %d\n%s", code, problems)
	}
	shop := filepath.Join("..", "..", "examples", "shops", "acme.yaml")
	if _, problems, code = at(t, "script", "run", "--settings", shop, "--rules", rules, good); code != exitUsage || !strings.Contains(problems, rules+" is refused:\n") || !strings.Contains(problems, "dance") {
		t.Errorf("exit %d\n%s", code, problems)
	}
}

// TestTrainOut: a model takes the place of no device or pipe.
func TestTrainOut(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writable(pipe, ""); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("a pipe: %v", err)
	}
}
