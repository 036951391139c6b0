package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/schemas"
)

// TestConsentCommands: a file is checked whole before anything of it is taken; what was imported is shown
// in plain words and exported; an import lifts no later opt-out.
func TestConsentCommands(t *testing.T) {
	h := stageRan(t)
	file := filepath.Join(t.TempDir(), "consent.csv")
	rows := "address,channel,status,time,source,text\n" +
		"+14155550001,sms,subscribed,2020-01-01T00:00:00Z,checkout,I agree\n" +
		"+14155550002,sms,subscribed,2020-01-01T00:00:00Z,checkout,=I agree\n"
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(rows + "14155550003,sms,subscribed,2020-01-01T00:00:00Z,checkout,\n")
	_, problems, code := h.at("consent", "import", file, "--shop", "acme")
	if code != exitUsage || !strings.Contains(problems, `line 4, address: "14155550003" is no number in E.164`) || !strings.Contains(problems, "1 of 3 rows are bad, nothing was imported") {
		t.Fatalf("a bad row: %d %s", code, problems)
	}
	write(rows + "+14155550003,whatsapp,subscribed,2020-01-01T00:00:00Z,checkout,\n")
	if _, problems, code := h.at("consent", "import", file, "--shop", "acme"); code != exitUsage || strings.Count(problems, "line 4, channel: the shop has no account on whatsapp: add one") != 1 || !strings.Contains(problems, "1 of 3 rows are bad, nothing was imported") {
		t.Fatalf("a channel that the shop has not: %d %s", code, problems)
	}
	if out, problems, code := h.at("consent", "import", file, "--shop", "acme", "--skip-bad", "--dry-run"); code != 0 || !strings.Contains(out, "2 rows would be imported, 1 are bad") {
		t.Fatalf("dry run: %d %s %s", code, out, problems)
	}
	if _, problems, code := h.at("consent", "import", file, "--shop", "bloom", "--skip-bad"); code != exitFailed || !strings.Contains(problems, `shop "bloom" has no settings: handoff settings apply publishes them; there are those of acme`) {
		t.Fatalf("an unknown shop: %d %s", code, problems)
	}
	if out, problems, code := h.at("consent", "import", file, "--shop", "acme", "--skip-bad", "--by", "Ann"); code != 0 || !strings.Contains(out, "2 rows imported, 1 bad ones left out") {
		t.Fatalf("import: %d %s %s", code, out, problems)
	}
	shows := func(address, want string) bool {
		out, _, code := h.at("consent", "show", "acme", address)
		return code == 0 && strings.Contains(out, want)
	}
	h.whileRunning([]string{schemas.StageConsent}, func() {
		h.until("the import is in the ledger", func() bool {
			return shows("+14155550002", `unknown -> subscribed for all of SMS: imported by Ann, source checkout`)
		})
	})
	if out, _, _ := h.at("consent", "show", "acme", "+14155550001"); !strings.Contains(out, "all of SMS: unsubscribed since ") || strings.Contains(out, "subscribed for all of SMS: imported") ||
		!strings.Contains(out, `unknown -> unsubscribed for all of SMS: keyword STOP`) {
		t.Errorf("an import lifts a later STOP:\n%s", out)
	}
	out, problems, code := h.at("consent", "export", "acme")
	all, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if code != 0 || err != nil || len(all) != 3 {
		t.Fatalf("export: %d %v %s\n%s", code, err, problems, out)
	}
	for _, line := range all[1:] {
		if line[1] == "+14155550002" && (line[5] != "2020-01-01T00:00:00Z" || line[11] != "'=I agree" || line[12] != "Ann") {
			t.Errorf("exported %v", line)
		}
	}
	if out, _, code := h.at("consent", "export", "acme", "+14155550002", "--format", "json"); code != 0 || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"source":"import","keyword":"checkout","text":"=I agree"`) {
		t.Errorf("export of one: %d %s", code, out)
	}
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, problems, code := h.at("consent", "check", "acme", "+14155550002", "--file", file); code != 0 || !strings.Contains(out, "all of SMS: subscribed since ") || !strings.Contains(out, "1 changes are in the ledger as in the file") {
		t.Errorf("check: %d %s %s", code, out, problems)
	}
	write(strings.ReplaceAll(out, "'=I agree", "I agree"))
	if _, problems, code := h.at("consent", "check", "acme", "+14155550002", "--file", file); code != exitFailed || !strings.Contains(problems, "change 1 is another one in the ledger") {
		t.Errorf("check of an altered export: %d %s", code, problems)
	}
	if out, problems, code := h.at("consent", "check", "acme", "+14155550001"); code != 0 || !strings.Contains(out, "all of SMS: unsubscribed since ") {
		t.Errorf("check without a file: %d %s %s", code, out, problems)
	}
	if out, problems, code := h.at("consent", "sweep", "acme"); code != 0 || !strings.Contains(out, "acme: of 2 ledgers 0 have no timer") {
		t.Errorf("sweep: %d %s %s", code, out, problems)
	}
	if out, _, code := h.at("consent", "possible", "acme"); code != 0 || out != "" {
		t.Errorf("possible: %d %s", code, out)
	}
	if out, problems, code := h.at("consent", "decide", "acme", "+14155550002", "keep", "--by", "Ann"); code != 0 || !strings.Contains(out, "keep is posted") {
		t.Errorf("decide: %d %s %s", code, out, problems)
	}
	if out, problems, code := h.at("consent", "link", "acme", "+14155550002", "+14155550001"); code != 0 || !strings.Contains(out, "the link with +14155550001 is posted") {
		t.Errorf("link: %d %s %s", code, out, problems)
	}
	if _, problems, code := h.at("consent", "link", "acme", "+1", "+1"); code != exitUsage || !strings.Contains(problems, "cannot be linked with itself") {
		t.Errorf("link with itself: %d %s", code, problems)
	}
	h.whileRunning([]string{schemas.StageConsent}, func() {
		h.until("both are one person", func() bool {
			return shows("+14155550001", "at acme\none person with +14155550002\n") && shows("+14155550002", "at acme\none person with +14155550001\n")
		})
	})
	if out, problems, code := h.at("consent", "unlink", "acme", "+14155550002", "--by", "Ann", "--reason", "a typo"); code != 0 || !strings.Contains(out, "is another person's is posted") {
		t.Errorf("unlink: %d %s %s", code, out, problems)
	}
	h.whileRunning([]string{schemas.StageConsent}, func() {
		h.until("they are two again", func() bool {
			out, _, code := h.at("consent", "show", "acme", "+14155550001")
			return code == 0 && !strings.Contains(out, "one person")
		})
	})
	if _, problems, code := h.at("consent", "show", "acme", "14155559999"); code != exitFailed || !strings.Contains(problems, "E.164") {
		t.Errorf("show of a number without its plus: %d %s", code, problems)
	}
	if _, problems, code := h.at("consent", "show", "acme", "+14155559999"); code != exitFailed || !strings.Contains(problems, "there is no consent record of acme|+14155559999") {
		t.Errorf("nobody: %d %s", code, problems)
	}
}
