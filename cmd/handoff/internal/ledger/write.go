package ledger

import (
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas/evidence"
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
	others := slices.DeleteFunc(slices.Clone(p.Linked), func(address string) bool { return address == p.Key.Address })
	if len(others) > 0 {
		fmt.Fprintf(&b, "\none person with %s", safe(strings.Join(others, ", ")))
	}
	b.WriteString("\n\nNow (of changes that cover an account the newest counts):\n")
	p.showNow(&b)
	if p.Held > 0 {
		fmt.Fprintf(&b, "\nMessages that wait for their yes: %d\n", p.Held)
	}
	p.showPossible(&b)
	b.WriteString("\nChanges:\n")
	p.showReduced(&b)
	for _, l := range p.Lines {
		showLine(&b, l)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// ShowNow writes what counts now, and what evidence of it is kept.
func (p *Person) ShowNow(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s now:\n", safe(p.Key.Address), p.Key.Shop)
	p.showNow(&b)
	fmt.Fprintf(&b, "Changes that are kept: %d\n", len(p.Lines))
	p.showReduced(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *Person) showNow(b *strings.Builder) {
	for _, scope := range slices.Sorted(maps.Keys(p.Now)) {
		c := p.Now[scope]
		fmt.Fprintf(b, "  %s: %s since %s (change %d)\n", scopeWords(scope), evidence.Status(c.GetStatus()), moment(c.GetSince().AsTime()), c.GetVersion())
		if until := c.GetAnswerUntil(); until != nil {
			fmt.Fprintf(b, "    agents may answer their last message until %s\n", moment(until.AsTime()))
		}
	}
}

// showReduced tells of changes whose time is over.
func (p *Person) showReduced(b *strings.Builder) {
	if r := p.Reduced; r != nil {
		fmt.Fprintf(b, "  up to %d, the last of %s: their evidence was reduced at %s\n       to hmac-sha256 %x, by key %s\n",
			r.GetThrough(), moment(r.GetLastAt().AsTime()), moment(r.GetAt().AsTime()), r.GetHash(), r.GetKey())
	}
}

func showLine(b *strings.Builder, l *statev1.LedgerLine) {
	fmt.Fprintf(b, "  %d  %s  %s -> %s for %s: %s\n", l.GetVersion(), moment(l.GetAt().AsTime()), evidence.Status(l.GetPrior()), evidence.Status(l.GetStatus()),
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

// reduced is the source of a line that stands for what changes led to whose evidence is gone.
const reduced = "reduced"

// changes are a person's changes as they are exported. Where evidence was reduced, what it led to stands first,
// a line for each scope whose change is gone, with the hash in place of the record.
func (p *Person) changes() (all []evidence.Change) {
	p.sort()
	if p.Reduced != nil {
		for _, scope := range slices.Sorted(maps.Keys(p.Now)) {
			if c := p.Now[scope]; c.GetVersion() <= p.Reduced.GetThrough() {
				all = append(all, evidence.Change{
					Shop: p.Key.Shop, Address: p.Key.Address, Subscriber: p.Subscriber, Change: c.GetVersion(),
					At: p.Reduced.GetAt().AsTime(), Since: c.GetSince().AsTime(), Scope: scope, Prior: evidence.Status(0), Status: evidence.Status(c.GetStatus()),
					Source: reduced, Record: hex.EncodeToString(p.Reduced.GetHash()),
				})
			}
		}
	}
	for _, l := range p.Lines {
		all = append(all, evidence.Of(p.Key, l))
	}
	return all
}

// JSON writes a person's changes, an object a line.
func (p *Person) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, c := range p.changes() {
		if err := e.Encode(c); err != nil {
			return err
		}
	}
	return nil
}

// columns of an export, in their order.
func columns() []string {
	return []string{"shop", "address", "subscriber", "change", "at", "since", "scope", "prior", "status", "source", "keyword", "text", "by", "conversation", "record"}
}

// CSVHeader writes the header of CSV.
func CSVHeader(w *csv.Writer) error {
	return w.Write(columns())
}

// CSV writes a person's changes, a line each.
func (p *Person) CSV(w *csv.Writer) error {
	for _, x := range p.changes() {
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

// formulaSafe keeps a spreadsheet from running what a customer wrote (OWASP, CSV injection), so that formulaAgain
// gives it back as it was.
func formulaSafe(s string) string {
	if formula(s) {
		return "'" + s
	}
	return s
}

// formulaAgain takes back what formulaSafe did.
func formulaAgain(s string) string {
	if rest, quoted := strings.CutPrefix(s, "'"); quoted && formula(rest) {
		return rest
	}
	return s
}

// formula tells whether a spreadsheet would run s, or it looks like one that was kept from that.
func formula(s string) bool {
	s = strings.TrimLeft(s, "'")
	return s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0]))
}

// safe is text without what moves a terminal's cursor.
func safe(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return strconv.Quote(s)
	}
	return s
}
