package ledger

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas/statev1"
)

// Show writes a person's consent in plain words: what counts now, what waits, and how it came to be.
func (p *Person) Show(w io.Writer) error {
	p.sort()
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s", safe(p.Key.Address), p.Key.Shop)
	if p.Subscriber > 1 {
		fmt.Fprintf(&b, ", subscriber %d", p.Subscriber)
	}
	if p.Detached {
		b.WriteString(", a wrong number")
	}
	if len(p.Linked) > 0 {
		fmt.Fprintf(&b, "\none person with %s", safe(strings.Join(p.Linked, ", ")))
	}
	b.WriteString("\n\nNow (of changes that cover an account the newest counts):\n")
	for _, scope := range slices.Sorted(maps.Keys(p.Now)) {
		c := p.Now[scope]
		fmt.Fprintf(&b, "  %s: %s since %s (change %d)\n", scopeWords(scope), statusName(c.GetStatus()), moment(c.GetSince().AsTime()), c.GetVersion())
		if until := c.GetAnswerUntil(); until != nil {
			fmt.Fprintf(&b, "    agents may answer their last message until %s\n", moment(until.AsTime()))
		}
	}
	if p.Held > 0 {
		fmt.Fprintf(&b, "\nMessages that wait for their yes: %d\n", p.Held)
	}
	p.showPossible(&b)
	b.WriteString("\nChanges:\n")
	for _, l := range p.Lines {
		showLine(&b, l)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func showLine(b *strings.Builder, l *statev1.LedgerLine) {
	fmt.Fprintf(b, "  %d  %s  %s -> %s for %s: %s\n", l.GetVersion(), moment(l.GetAt().AsTime()), statusName(l.GetPrior()), statusName(l.GetStatus()),
		scopeWords(l.GetScope()), safe(because(l)))
	if since := l.GetSince(); since != nil {
		fmt.Fprintf(b, "       holds since %s\n", moment(since.AsTime()))
	}
	if until := l.GetAnswerUntil(); until != nil {
		fmt.Fprintf(b, "       agents may answer until %s\n", moment(until.AsTime()))
	}
	if l.GetText() != "" {
		fmt.Fprintf(b, "       %q\n", l.GetText())
	}
}

// showPossible lists the possible opt-outs.
func (p *Person) showPossible(b *strings.Builder) {
	if len(p.Possible) > 0 {
		b.WriteString("\nPossible opt-outs, not decided:\n")
	}
	for _, conversation := range slices.Sorted(maps.Keys(p.Possible)) {
		o := p.Possible[conversation]
		fmt.Fprintf(b, "  %s  %q (%s), counts on %s\n", conversation, o.GetText(), safe(o.GetBy()), moment(o.GetDueAt().AsTime()))
	}
}

// ShowPossible writes a line for each possible opt-out of a person.
func (p *Person) ShowPossible(w io.Writer) error {
	for _, conversation := range slices.Sorted(maps.Keys(p.Possible)) {
		o := p.Possible[conversation]
		if _, err := fmt.Fprintf(w, "%s  %s  %s  counts on %s  %q (%s)\n", p.Key.Shop, safe(p.Key.Address), conversation,
			moment(o.GetDueAt().AsTime()), o.GetText(), safe(o.GetBy())); err != nil {
			return err
		}
	}
	return nil
}

// exported is a change as it is exported.
type exported struct {
	Shop         string    `json:"shop"`
	Address      string    `json:"address"`
	Subscriber   uint64    `json:"subscriber"`
	Change       uint64    `json:"change"`
	At           time.Time `json:"at"`
	Since        time.Time `json:"since"`
	Scope        string    `json:"scope"`
	Prior        string    `json:"prior"`
	Status       string    `json:"status"`
	Source       string    `json:"source"`
	Keyword      string    `json:"keyword"`
	Text         string    `json:"text"`
	By           string    `json:"by"`
	Conversation string    `json:"conversation"`
	Record       string    `json:"record"`
}

func (p *Person) export(l *statev1.LedgerLine) exported {
	since := l.GetAt()
	if l.GetSince() != nil {
		since = l.GetSince()
	}
	return exported{
		Shop: p.Key.Shop, Address: p.Key.Address, Subscriber: max(l.GetSubscriber(), 1), Change: l.GetVersion(), At: l.GetAt().AsTime(), Since: since.AsTime(),
		Scope: l.GetScope(), Prior: statusName(l.GetPrior()), Status: statusName(l.GetStatus()), Source: sourceName(l.GetSource()),
		Keyword: l.GetKeyword(), Text: l.GetText(), By: l.GetBy(), Conversation: l.GetConversation(), Record: l.GetRecordId(),
	}
}

// JSON writes a person's changes, an object a line.
func (p *Person) JSON(w io.Writer) error {
	p.sort()
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, l := range p.Lines {
		if err := e.Encode(p.export(l)); err != nil {
			return err
		}
	}
	return nil
}

// CSVHeader writes the header of CSV.
func CSVHeader(w *csv.Writer) error {
	return w.Write([]string{"shop", "address", "subscriber", "change", "at", "since", "scope", "prior", "status", "source", "keyword", "text", "by", "conversation", "record"})
}

// CSV writes a person's changes, a line each.
func (p *Person) CSV(w *csv.Writer) error {
	p.sort()
	for _, l := range p.Lines {
		x := p.export(l)
		if err := w.Write([]string{
			x.Shop, x.Address, strconv.FormatUint(x.Subscriber, 10), strconv.FormatUint(x.Change, 10),
			x.At.Format(time.RFC3339Nano), x.Since.Format(time.RFC3339Nano), x.Scope, x.Prior, x.Status, x.Source,
			formulaSafe(x.Keyword), formulaSafe(x.Text), formulaSafe(x.By), x.Conversation, x.Record,
		}); err != nil {
			return err
		}
	}
	return nil
}

// formulaSafe keeps a spreadsheet from running what a customer wrote (OWASP, CSV injection).
func formulaSafe(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// safe is text without what moves a terminal's cursor.
func safe(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return strconv.Quote(s)
	}
	return s
}
