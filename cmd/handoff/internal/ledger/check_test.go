package ledger

import (
	"bytes"
	"encoding/csv"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

var (
	ann = schemas.Key{Shop: "acme", Address: "+14155550001"}
	key = bytes.Repeat([]byte("k"), evidence.MinKey)
)

// line is change n of a ledger.
func line(n uint64, text string) *statev1.LedgerLine {
	return &statev1.LedgerLine{
		Version: n, At: timestamppb.New(time.Date(2020, 1, int(n), 10, 0, 0, 5e6, time.UTC)), Scope: "channel:sms",
		Prior: handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL, Status: handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED,
		Source: handoffv1.ConsentSource_CONSENT_SOURCE_KEYWORD, Keyword: "STOP", Text: text, RecordId: "0a", Conversation: "sms:+15557770000",
	}
}

func person(lines ...*statev1.LedgerLine) *Person {
	p := NewPerson(ann)
	p.Lines = lines
	p.Now["channel:sms"] = &statev1.ScopeConsent{Version: 1, Status: handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED, Since: timestamppb.New(time.Date(2020, 1, 1, 10, 0, 0, 0, time.UTC))}
	return p
}

// exported writes a person's changes and reads them again.
func exported(t *testing.T, p *Person, format string) []evidence.Change {
	t.Helper()
	var b bytes.Buffer
	read := ReadJSON
	if format == "csv" {
		read = ReadCSV
		w := csv.NewWriter(&b)
		if err := errors.Join(CSVHeader(w), p.CSV(w)); err != nil {
			t.Fatal(err)
		}
		w.Flush()
	} else if err := p.JSON(&b); err != nil {
		t.Fatal(err)
	}
	changes, err := read(&b, ann)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// reduce does what the consent stage does.
func (p *Person) reduce() {
	var changes []evidence.Change
	for _, l := range p.Lines {
		changes = append(changes, evidence.Of(p.Key, l))
	}
	p.Reduced = &statev1.ReducedLedger{
		Hash: evidence.Hash(key, p.Reduced.GetHash(), changes), Key: evidence.Fingerprint(key),
		Through: p.Lines[len(p.Lines)-1].GetVersion(), At: timestamppb.New(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
	}
	p.Lines = nil
}

// TestCheck: an export is what is kept, before and after its evidence was reduced, once and again; one that was
// altered, or is short of a change, is not.
func TestCheck(t *testing.T) {
	for _, format := range []string{"csv", "json"} {
		p := person(line(1, "=1+1"), line(2, "'=x"), line(3, "two\nlines, \"quoted\""))
		early := exported(t, p, format)
		check := func(what string, key []byte, changes []evidence.Change, want string) {
			t.Helper()
			said, err := p.Check(key, changes)
			if err != nil {
				said = err.Error()
			}
			if !strings.Contains(said, want) {
				t.Errorf("%s, %s: %q, want %q", format, what, said, want)
			}
		}
		altered := append([]evidence.Change(nil), early...)
		altered[1].Text = "stop"
		check("all are there", nil, early, "3 changes are in the ledger as in the file")
		check("altered", nil, altered, "change 2 is another one in the ledger")
		check("one too many", nil, append(early, evidence.Of(ann, line(4, ""))), "the ledger has no change 4")
		p.reduce()
		check("reduced", key, early, "changes 1 to 3 of the file are what was kept")
		check("reduced, altered", key, altered, "changes up to 3 have another hash")
		check("reduced, one short", key, early[:2], "the file lacks 3")
		check("by no key", nil, early, "consent.ledger_key is not set")
		check("by another key", bytes.Repeat([]byte("x"), evidence.MinKey), early, "consent.ledger_key is key ")
		check("its hash alone", nil, exported(t, p, format), "the file's hash is the one that is kept")
		p.Lines = []*statev1.LedgerLine{line(4, "later")}
		between := exported(t, p, format)
		check("with a later one", nil, between, "the one that is kept for changes up to 3; 1 changes are in the ledger")
		p.reduce()
		check("reduced again", key, between, "changes 4 to 4 of the file are what was kept")
		check("reduced again, from before", key, early, "the file lacks 4")
	}
}

// TestCheckBuiltAnew: a ledger that was built anew counts on; an earlier export of it is what is kept all the same.
func TestCheckBuiltAnew(t *testing.T) {
	changes := exported(t, person(line(1, "STOP"), line(2, "Stop please")), "csv")
	first, second, third := line(1, "STOP"), line(2, "Stop please"), line(5, "later")
	first.Version, second.Version = 3, 4
	anew := person(first, second, third)
	if said, err := anew.Check(nil, changes); err != nil || said != "2 changes are in the ledger as in the file but for their numbers: the ledger was built anew since (handoff reset)" {
		t.Errorf("%q, %v", said, err)
	}
	changes[1].Text = "Stop"
	if said, err := anew.Check(nil, changes); !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), "the ledger has no change 2") {
		t.Errorf("altered: %q, %v", said, err)
	}
}

func TestReadRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"": "header cannot be read", "address,channel\n": "it is no export",
		strings.Join(columns(), ",") + "\nacme,+1,x,1,2020-01-01T00:00:00Z,2020-01-01T00:00:00Z,shop,,,,,,,,\n": "line 2",
		strings.Join(columns(), ",") + "\nacme\n": "it is no CSV",
	} {
		if _, err := ReadCSV(strings.NewReader(text), ann); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := ReadJSON(strings.NewReader(`{"colour":"red"}`), ann); err == nil || !strings.Contains(err.Error(), "object 1") {
		t.Errorf("an unknown field: %v", err)
	}
}
