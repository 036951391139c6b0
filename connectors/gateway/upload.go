package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas/consentfile"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

const (
	// importBatch is how many rows of a file are posted at once.
	importBatch = 500
	// maxImport is the longest file, in bytes: about 700,000 rows.
	maxImport = 64 << 20
	// toldProblems is how many bad rows an answer tells of; their number is told in any case.
	toldProblems = 1000
)

// importConsent serves POST /shops/<shop>/consent: CSV, or an object a line, of what the platform knows (C14).
// Without ?skip_bad=true nothing of a file with a bad row is taken, so it is held whole and no larger than any
// other body. With it, rows are taken as they come, whatever the file's size.
func (g *Gateway) importConsent(w http.ResponseWriter, r *http.Request) (string, outcome, error) {
	c, err := g.caller(w, r)
	if err != nil {
		return providerConsent, "", err
	}
	in := &upload{in: r.Body, control: http.NewResponseController(w), longest: g.cfg.MaxBody}
	i := importing{g: g, c: c, r: r, in: in}
	if r.URL.Query().Get("skip_bad") == "true" {
		return providerConsent, accepted, i.stream(w)
	}
	body, err := g.readBody(w, r)
	if refused, ok := errors.AsType[*refusal](err); ok && refused.outcome == tooLarge {
		refused.reason += "; with ?skip_bad=true a file is taken row by row, and may be larger"
	}
	if err != nil {
		return providerConsent, "", err
	}
	c.req.Body = body
	in.in = bytes.NewReader(body)
	o, err := i.whole(w)
	return providerConsent, o, err
}

// importing is a file on its way to Kafka.
type importing struct {
	g  *Gateway
	c  *platformCall
	r  *http.Request
	in *upload

	batch []*handoffv1.Record
	bytes int // of the file, up to the last row that Kafka has
	told  importAnswer
}

// importAnswer is what the caller is told of a file.
type importAnswer struct {
	Error  outcome `json:"error,omitempty"`
	Place  string  `json:"place,omitempty"`
	Reason string  `json:"reason,omitempty"`
	// Taken is how many rows Kafka has; Refused how many were bad.
	Taken   int `json:"taken"`
	Refused int `json:"refused,omitempty"`
	// Problems of the bad rows, the first toldProblems.
	Problems []problem `json:"problems,omitempty"`
	// ProblemsLeftOut is how many more there are.
	ProblemsLeftOut int `json:"problems_left_out,omitempty"`
}

// rows calls good with every row that can be taken and keeps what is wrong with the others. An error ends it.
func (i *importing) rows(good func(*handoffv1.Record) error) error {
	format := consentfile.JSON
	if kind, _, _ := mime.ParseMediaType(i.r.Header.Get("Content-Type")); kind == "text/csv" {
		format = consentfile.CSV
	}
	of := consentfile.For{Shop: i.c.req.Shop.Shop, By: i.c.by, Now: i.c.req.Now, Settings: i.c.version, Accounts: i.c.req.Shop.Accounts}
	for record, err := range consentfile.Read(i.in, format, of) {
		i.in.row()
		bad, isRow := errors.AsType[*consentfile.Error](err)
		switch {
		case err == nil:
			err = good(record)
		case isRow:
			i.refused(bad)
			err = nil
		case i.in.failed != nil:
			err = i.in.failed
		default:
			err = &ingress.Malformed{Place: "body", Reason: err.Error()}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *importing) refused(bad *consentfile.Error) {
	i.told.Refused++
	if len(i.told.Problems) == toldProblems {
		i.told.ProblemsLeftOut++
		return
	}
	i.told.Problems = append(i.told.Problems, problem{Line: bad.Line, Path: bad.Column, Reason: bad.Reason})
}

// whole takes a file whose rows are all good.
func (i *importing) whole(w http.ResponseWriter) (outcome, error) {
	err := i.rows(func(r *handoffv1.Record) error {
		i.batch = append(i.batch, r)
		return nil
	})
	if err != nil {
		return "", err
	}
	if i.told.Refused > 0 {
		i.told.Error, i.told.Reason = refusedRows, "rows were refused; nothing was taken"
		writeJSON(w, refusedRows.status(), i.told)
		return refusedRows, nil
	}
	if err := i.post(); err != nil {
		return "", err
	}
	writeJSON(w, http.StatusAccepted, i.told)
	return accepted, nil
}

// stream takes the good rows of a file as they come. Where it ends early what was taken stays, and the answer
// says how many rows: the file sent again makes the same records, which are dropped.
func (i *importing) stream(w http.ResponseWriter) error {
	err := i.rows(func(r *handoffv1.Record) error {
		if i.batch = append(i.batch, r); len(i.batch) < importBatch && i.in.total-i.bytes < i.g.cfg.MaxBody {
			return nil
		}
		return i.post()
	})
	if err == nil {
		err = i.post()
	}
	if err = errors.Join(err, i.in.answer()); err != nil {
		refused := refusalOf(err)
		i.told.Error, i.told.Place, i.told.Reason = refused.outcome, refused.place, refused.reason
		if i.told.Taken > 0 {
			i.told.Reason += fmt.Sprintf("; %d rows were taken before, and stay: send the file again for the rest", i.told.Taken)
		}
		if d := refused.outcome.retryAfter(); d > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
		}
		writeJSON(w, refused.outcome.status(), i.told)
		return err
	}
	writeJSON(w, http.StatusAccepted, i.told)
	return nil
}

// post posts the batch and returns when Kafka acknowledged it.
func (i *importing) post() error {
	if len(i.batch) == 0 {
		return nil
	}
	if err := i.g.file(i.r.Context(), min(i.in.total-i.bytes, i.g.cfg.MaxBody), i.batch); err != nil {
		return err
	}
	i.told.Taken += len(i.batch)
	i.bytes, i.batch = i.in.total, i.batch[:0]
	return nil
}

// upload is a file that is read as long as it comes: each piece has the time that a whole body has elsewhere,
// and no row is longer than a body may be.
type upload struct {
	in      io.Reader
	control *http.ResponseController
	longest int
	total   int
	since   int // since the last row
	failed  error
}

// Read reads on. Its errors are refusals, kept in failed.
func (u *upload) Read(p []byte) (int, error) {
	switch {
	case u.since > u.longest:
		u.failed = &ingress.Malformed{Place: "body", Reason: fmt.Sprintf("a row has more than %d bytes", u.longest)}
		return 0, u.failed
	case u.total > maxImport:
		u.failed = refuse(tooLarge, "the file is larger than %d bytes; send it in parts, each with its header", maxImport)
		return 0, u.failed
	}
	// A connection without deadlines has none to move.
	if err := u.control.SetReadDeadline(time.Now().Add(readTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("move the deadline of the body: %w", err)
	}
	n, err := u.in.Read(p)
	u.total += n
	u.since += n
	if err != nil && !errors.Is(err, io.EOF) {
		u.failed = &refusal{outcome: unreadable, place: "body", reason: "it ended early or came too slowly", cause: err}
	}
	return n, err
}

// row tells that a row has been read.
func (u *upload) row() { u.since = 0 }

// answer gives the answer the time that it has elsewhere, however long the file took.
func (u *upload) answer() error {
	if err := u.control.SetWriteDeadline(time.Now().Add(readTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("move the deadline of the answer: %w", err)
	}
	return nil
}
