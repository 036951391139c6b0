// Package caller makes the outside calls that deliver stored: lanes, limits, retries, breakers, and
// the gate that is read just before a request starts. What it holds in memory is rebuilt from stored
// calls; what must survive is in deliver's state.
package caller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// Retry says what a second try of a request means at its destination.
type Retry int

const (
	// Idempotent: the same bytes again have no second effect (within KeyLife).
	Idempotent Retry = iota
	// Queryable: whether an earlier attempt arrived can be looked up; it is, before any attempt that
	// may have been made before.
	Queryable
	// Blind: nothing can be asked. The attempt is committed before the request starts, and an
	// unanswered one is never repeated.
	Blind
)

// Destination is one outside system: a channel, a help desk, the bot. Connectors implement it. Its
// methods are safe for concurrent use and respect ctx.
type Destination interface {
	// Retry tells what a second try of this command means.
	Retry(cmd *handoffv1.Command) Retry
	// Do makes the request once. On success the outcome's status is DONE. Errors are *Error; any other
	// error counts as Ambiguous.
	Do(ctx context.Context, a Attempt) (*handoffv1.Outcome, error)
	// Lookup asks whether an earlier attempt of the call arrived: its outcome, or nil when it did not.
	// Called for Queryable commands, and for Idempotent ones older than KeyLife.
	Lookup(ctx context.Context, a Attempt) (*handoffv1.Outcome, error)
	// KeyLife is how long the destination remembers idempotency keys; 0 means for ever.
	KeyLife() time.Duration
	// Limit is how many requests per window one shop's account allows. Burst is how many at once.
	Limit(shop *settings.Shop) Limit
}

// Patient is a Destination whose requests may take longer than the Caller's time-out. The longer of the
// two counts.
type Patient interface {
	RequestTimeout(shop *settings.Shop) time.Duration
}

// Limit of a destination for one shop. Zero Requests means no limit.
type Limit struct {
	Requests int
	Window   time.Duration
	Burst    int
}

// Attempt is one try of one call.
type Attempt struct {
	// CallID of the call, hex: the idempotency key, and what rides in callbacks.
	CallID string
	// Number of the attempt, from 1.
	Number uint32
	// Created is when the command was made; no attempt is older.
	Created time.Time
	// Record is the command's envelope: shop, channel, account, address, conversation.
	Record *handoffv1.Record
	// Command with everything filled in that is known only at release (Ticket below).
	Command *handoffv1.Command
	// TicketID is the desk's id of the episode's ticket; empty where there is none yet.
	TicketID string
	// Shop is the current version of the shop's settings.
	Shop *settings.Shop
	// OtherIDs are provider ids known to belong to other calls of this conversation: a look-up must
	// not take them for this call's.
	OtherIDs []string
}

// ErrorKind steers what happens after a failed request.
type ErrorKind int

const (
	// Ambiguous: it may or may not have arrived (time-out, broken connection, 5xx after sending).
	Ambiguous ErrorKind = iota
	// Retryable: it did not arrive or had no effect; try again with backoff.
	Retryable
	// Limited: too many requests; no request to this shop's account before RetryAfter has passed.
	Limited
	// Unauthorized: the token was refused. An outage that an operator must end; retried slowly.
	Unauthorized
	// Permanent: trying again cannot help.
	Permanent
)

// Error is a failed request, as a destination reports it.
type Error struct {
	Kind ErrorKind
	// Code is the provider's code, else the HTTP status, else "".
	Code string
	// Meaning in plain words, with what to do.
	Meaning string
	// RetryAfter is set for Limited.
	RetryAfter time.Duration
	// OptedOut: the provider says the address opted out there (C10).
	OptedOut bool
	// TicketGone: the ticket can no longer be written to.
	TicketGone bool
	// Err is the cause; may be nil.
	Err error
}

// Error describes the failure with code, meaning and cause.
func (e *Error) Error() string {
	msg := e.Meaning
	if e.Code != "" {
		msg = fmt.Sprintf("%s (code %s)", msg, e.Code)
	}
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError returns err as *Error; one that is none is Ambiguous.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Ambiguous, Meaning: "the request failed without an answer", Err: err}
}
