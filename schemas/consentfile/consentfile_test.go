package consentfile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/schemas/consentfile"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

var of = consentfile.For{Shop: "acme", By: "Ann", Now: time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC), Settings: 3}

// read returns what is yielded, rows as "address scope status", errors as they say.
func read(text, format string) (all []string) {
	for r, err := range consentfile.Read(strings.NewReader(text), format, of) {
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		m := r.GetConsentImport()
		all = append(all, r.GetAddress()+" "+m.GetScope()+" "+m.GetStatus().String())
	}
	return all
}

func TestRead(t *testing.T) {
	const header = "address,channel,status,time,source\n"
	for name, c := range map[string]struct {
		text, format string
		want         []string
	}{
		"csv": {"\ufeffaddress,channel,status,time,source,account,scope,text\n" +
			"+14155550001,sms,subscribed,2026-03-01T10:00:00Z,checkout,,,\"I agree, yes\"\n" +
			"+14155550002,sms,unsubscribed,2026-03-01T10:00:00+02:00,import,+15557770000,,\n" +
			"+14155550003,whatsapp,pending,2026-03-01T10:00:00Z,form,,shop,\n", consentfile.CSV, []string{
			"+14155550001 channel:sms CONSENT_STATUS_SUBSCRIBED",
			"+14155550002 account:sms:+15557770000 CONSENT_STATUS_UNSUBSCRIBED",
			"+14155550003 shop CONSENT_STATUS_PENDING",
		}},
		"json": {`{"address":"+14155550001","channel":"sms","status":"subscribed","time":"2026-03-01T10:00:00Z","source":"checkout"}` + "\n\n" +
			`{"address":"+14155550001","colour":"red"}` + "\n" + `[{"address":"+14155550001"}]` + "\n" + `{"address":14155550001}` + "\n{", consentfile.JSON, []string{
			"+14155550001 channel:sms CONSENT_STATUS_SUBSCRIBED",
			`line 3: it is no object with the known fields: unknown field "colour"`,
			"line 4: a JSON array stands there: an object a line",
			"line 5: address is a JSON number, and not a text in quotation marks",
			"line 6: it is no object with the known fields: unexpected EOF",
		}},
		"bad rows say where and why, good ones go on": {header +
			"4155550001,sms,subscribed,2026-03-01T10:00:00Z,a\n" +
			"+14155550001,fax,subscribed,2026-03-01T10:00:00Z,a\n" +
			"+14155550001,sms,yes,2026-03-01T10:00:00Z,a\n" +
			"+14155550001,sms,subscribed,yesterday,a\n" +
			"+14155550001,sms,subscribed,2027-03-01T10:00:00Z,a\n" +
			"+14155550001,sms,subscribed,2026-03-01T10:00:00Z,\n" +
			"+14155550001,sms,subscribed\n" +
			"+14155550001,sms,\"sub\"scribed,2026-03-01T10:00:00Z,a\n" +
			"+14155550001,sms,subscribed,2026-03-01T10:00:00Z,a\n", consentfile.CSV, []string{
			`line 2, address: "4155550001" is no number in E.164, e.g. +14155550123`,
			`line 3, channel: "fax" is no channel, e.g. sms`,
			`line 4, status: "yes" is none of subscribed, unsubscribed, pending, conversational`,
			`line 5, time: "yesterday" is no time like 2026-03-02T10:00:00Z`,
			`line 6, time: 2027-03-01T10:00:00Z is in the future`,
			`line 7, source: is empty: say where the consent comes from`,
			`line 8: it has 3 fields, the header has 5`,
			`line 9: it is no CSV: extraneous or missing " in quoted-field`,
			"+14155550001 channel:sms CONSENT_STATUS_SUBSCRIBED",
		}},
		"a header that lacks and has too much": {"address,channel,status,colour\n", consentfile.CSV, []string{
			`line 1: there is no column "colour"; column "time" is missing; column "source" is missing; the columns are address, channel, status, time, source, account, scope, text, time_zone, the last 4 may be left out`,
		}},
		"as spreadsheets write it": {"\ufeffAddress, Channel ,STATUS,time,source,text\r\n" +
			"+14155550001,SMS,Subscribed,2026-03-01T10:00:00.25+05:30,checkout,\"first\r\nsecond, \"\"quoted\"\"\"\r\n" +
			",,,,,\r\n\r\n" +
			"+14155550002,sms,unsubscribed,2026-03-01T10:00:00Z,checkout,\r\n", consentfile.CSV, []string{
			"+14155550001 channel:sms CONSENT_STATUS_SUBSCRIBED",
			"+14155550002 channel:sms CONSENT_STATUS_UNSUBSCRIBED",
		}},
		"semicolons": {"address;channel;status;time;source\n", consentfile.CSV, []string{
			`line 1: the columns must be separated by commas; they are address, channel, status, time, source, account, scope, text, time_zone, the last 4 may be left out`,
		}},
		"a mark of UTF-8 before a quoted header": {"\ufeff\"address\",\"channel\",\"status\",\"time\",\"source\"\r\n" +
			"\"+14155550001\",\"sms\",\"subscribed\",\"2026-03-01T10:00:00Z\",\"a\"\r\n", consentfile.CSV, []string{
			"+14155550001 channel:sms CONSENT_STATUS_SUBSCRIBED",
		}},
		"lines that end in CR": {strings.ReplaceAll(header+"+14155550001,sms,subscribed,2026-03-01T10:00:00Z,a\n", "\n", "\r"), consentfile.CSV, []string{
			"line 1: its lines end in CR alone; save it with lines that end in LF or CR LF",
		}},
		"a workbook":      {"PK\x03\x04\x14\x00\x06\x00\"address\"", consentfile.CSV, []string{"line 1: the file is a spreadsheet or an archive; save it as CSV"}},
		"an old workbook": {"\xd0\xcf\x11\xe0\xa1\xb1", consentfile.CSV, []string{"line 1: the file is a spreadsheet or an archive; save it as CSV"}},
		"what a spreadsheet makes of numbers": {header +
			"1.4155E+10,sms,unsubscribed,2026-03-01T10:00:00Z,a\n" +
			"\"1,41556E+10\",sms,unsubscribed,2026-03-01T10:00:00Z,a\n" +
			"1e9,messenger,unsubscribed,2026-03-01T10:00:00Z,a\n", consentfile.CSV, []string{
			`line 2, address: "1.4155E+10" is what a spreadsheet made of a number: its digits are lost in this file. Export it anew, with the column as text`,
			`line 3, address: "1,41556E+10" is what a spreadsheet made of a number: its digits are lost in this file. Export it anew, with the column as text`,
			"1e9 channel:messenger CONSENT_STATUS_UNSUBSCRIBED",
		}},
		"UTF-16": {"\xff\xfea\x00d\x00", consentfile.CSV, []string{"line 1: the file is UTF-16; save it as UTF-8"}},
		"8-bit":  {header + "+14155550001,sms,subscribed,2026-03-01T10:00:00Z,caf\xe9\n", consentfile.CSV, []string{"line 2: it holds text that is not UTF-8"}},
		"a quote that is not closed in the first column": {header + "+14155550001,sms,subscribed,2026-03-01T10:00:00Z,a\n\"+14155550002,sms,subscribed,2026-03-01T10:00:00Z,b\n", consentfile.CSV, []string{
			"+14155550001 channel:sms CONSENT_STATUS_SUBSCRIBED",
			`line 3: it is no CSV: extraneous or missing " in quoted-field`,
		}},
		"a quote that is not closed": {header + "+14155550001,sms,subscribed,2026-03-01T10:00:00Z,\"a\n+14155550002,sms,subscribed,2026-03-01T10:00:00Z,b\n", consentfile.CSV, []string{
			`line 2: it is no CSV: extraneous or missing " in quoted-field; a quote is open up to line 3, and whatever rows are in it are left out`,
		}},
		"digits": {header +
			"+1415555000,sms,unsubscribed,2026-03-01T10:00:00Z,a\n" +
			"+141555500012,sms,unsubscribed,2026-03-01T10:00:00Z,a\n" +
			"+33612345678,sms,unsubscribed,2026-03-01T10:00:00Z,a\n", consentfile.CSV, []string{
			`line 2, address: "+1415555000" is no number in E.164, e.g. +14155550123`,
			`line 3, address: "+141555500012" is no number in E.164, e.g. +14155550123`,
			"+33612345678 channel:sms CONSENT_STATUS_UNSUBSCRIBED",
		}},
		"times": {header +
			"+14155550001,sms,subscribed,0000-01-01T00:00:00Z,a\n" +
			"+14155550001,sms,subscribed,2026-03-02T12:00:00+02:00,a\n" +
			"+14155550001,sms,subscribed,2026-03-02T10:00:00-01:00,a\n" +
			"+14155550001,sms,subscribed,2026-03-02 09:00:00,a\n" +
			"+14155550001,sms,subscribed,1772445600,a\n", consentfile.CSV, []string{
			`line 2, time: 0000-01-01T00:00:00Z is before 1970`,
			"+14155550001 channel:sms CONSENT_STATUS_SUBSCRIBED",
			`line 4, time: 2026-03-02T10:00:00-01:00 is in the future`,
			`line 5, time: "2026-03-02 09:00:00" is no time like 2026-03-02T10:00:00Z`,
			`line 6, time: "1772445600" is no time like 2026-03-02T10:00:00Z`,
		}},
		"too long": {header + "+14155550001,sms,subscribed,2026-03-01T10:00:00Z," + strings.Repeat("a", 64<<10+1) + "\n", consentfile.CSV, []string{
			"line 2, text: text, source and account are longer than 65536 bytes together",
		}},
		"json that is long, 8-bit, two on a line": {"\ufeff" + `{"address":"+14155550001","channel":"sms","status":"subscribed","time":"2026-03-01T10:00:00Z","source":"a"}` + "\r\n" +
			`{"text":"` + strings.Repeat("a", 1<<20) + `"}` + "\n" +
			`{"address":"+14155550001","text":"caf` + "\xe9" + `"}` + "\n" +
			`{"address":"+14155550002"}{"address":"+14155550003"}` + "\n \n" +
			`{"address":"+14155550004","channel":"sms","status":"pending","time":"2026-03-01T10:00:00Z","source":"a"}`, consentfile.JSON, []string{
			"+14155550001 channel:sms CONSENT_STATUS_SUBSCRIBED",
			"line 2: it is longer than 1048576 bytes",
			"line 3: it holds text that is not UTF-8",
			"line 4: something follows the object: an object a line",
			"+14155550004 channel:sms CONSENT_STATUS_PENDING",
		}},
		"nothing": {"", consentfile.CSV, []string{"line 1: the file is empty; it begins with a header: address,channel,status,time,source,account,scope,text,time_zone"}},
	} {
		got := read(c.text, c.format)
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// TestSameRowSameID: a file that is imported again makes the same records.
func TestSameRowSameID(t *testing.T) {
	const row = `{"address":"+14155550001","channel":"sms","status":"subscribed","time":"2026-03-01T10:00:00Z","source":"checkout"}`
	ids := map[string]bool{}
	for range 2 {
		for r, err := range consentfile.Read(strings.NewReader(row), consentfile.JSON, of) {
			if err != nil {
				t.Fatal(err)
			}
			ids[string(r.GetId())] = true
		}
	}
	if len(ids) != 1 {
		t.Errorf("%d ids", len(ids))
	}
}

func FuzzRead(f *testing.F) {
	f.Add("address,channel,status,time,source\n+14155550001,sms,subscribed,2026-03-01T10:00:00Z,a\n", true)
	f.Add("address,channel,status,time,source\n\"+14155550001,sms\n", true)
	f.Add(`{"address":"a","channel":"line","status":"pending","time":"2026-03-01T10:00:00Z","source":"x","scope":"shop"}`, false)
	f.Fuzz(func(t *testing.T, text string, isCSV bool) {
		format := consentfile.JSON
		if isCSV {
			format = consentfile.CSV
		}
		for r, err := range consentfile.Read(strings.NewReader(text), format, of) {
			var bad *consentfile.Error
			switch {
			case errors.As(err, &bad) && (bad.Line < 1 || bad.Reason == ""):
				t.Errorf("%+v", bad)
			case err == nil && (r.GetAddress() == "" || r.GetChannel() == handoffv1.Channel_CHANNEL_UNSPECIFIED || r.GetConsentImport().GetScope() == ""):
				t.Errorf("%v", r)
			}
		}
	})
}

// TestReadForAccounts: a row about what the shop does not have says so, with what to do about it.
func TestReadForAccounts(t *testing.T) {
	with := of
	with.Accounts = []settings.Account{{Channel: "sms", Account: "+15557770000"}, {Channel: "sms", Account: "+15557770001"}, {Channel: "x", Account: "acme"}}
	const rest = ",unsubscribed,2026-03-01T10:00:00Z,crm,"
	text := "address,channel,status,time,source,account,scope\n" +
		"+14155550001,sms" + rest + ",\n" +
		"+14155550001,sms" + rest + "+15557770001,\n" +
		"+14155550001,sms" + rest + "+15557770002,\n" +
		"+14155550001,sms" + rest + "+15557770002,channel\n" +
		"+14155550001,whatsapp" + rest + ",\n" +
		"+14155550001,whatsapp" + rest + ",shop\n" +
		"ann,line" + rest + "acme,\n" +
		"ann,x" + rest + "acme,\n"
	var all []string
	for r, err := range consentfile.Read(strings.NewReader(text), consentfile.CSV, with) {
		if err != nil {
			all = append(all, err.Error())
			continue
		}
		all = append(all, r.GetConsentImport().GetScope())
	}
	const other = `account: the shop has no account "+15557770002" on sms, but +15557770000, +15557770001: name one of those, leave the account out for all of the channel, or add it to the shop's settings first`
	want := []string{
		"channel:sms",
		"account:sms:+15557770001",
		"line 4, " + other,
		"line 5, " + other,
		"line 6, channel: the shop has no account on whatsapp: add one to its settings first, or give the scope shop for what holds everywhere",
		"shop",
		`line 8, account: the shop has no account "acme", and none on line: add it to the shop's settings first`,
		"account:x:acme",
	}
	if !slices.Equal(all, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
}
