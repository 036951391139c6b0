package twilio

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
)

// ErrorCode is what one of Twilio's codes means to a sender, whether it refused
// a request or came with a status callback.
type ErrorCode struct {
	Code int
	// Kind says what trying again can do.
	Kind caller.ErrorKind
	// OptedOut: the recipient is on Twilio's own block list for this sender.
	OptedOut bool
	// Meaning in plain words, with what to do.
	Meaning string
}

// errorCodes is sorted by code. What is not in it is judged by its HTTP status.
// Source: Twilio's error dictionary.
var errorCodes = [...]ErrorCode{
	{14107, caller.Limited, false, "Twilio limits how fast this number may send; the text waits"},
	{20001, caller.Permanent, false, "Twilio refused a parameter of the request"},
	{20003, caller.Unauthorized, false, "Twilio refused the account SID or auth token; put the current token in the settings"},
	{20005, caller.Unauthorized, false, "the Twilio account is not active; reactivate it in Twilio's console"},
	{20403, caller.Unauthorized, false, "the Twilio credentials may not send messages; check the key's permissions"},
	{20404, caller.Permanent, false, "Twilio does not know the account or resource; check the account SID"},
	{20429, caller.Limited, false, "too many requests to Twilio at once; the text waits"},
	{20500, caller.Ambiguous, false, "Twilio failed internally; whether it took the text is being looked up"},
	{20503, caller.Ambiguous, false, "Twilio is unavailable; whether it took the text is being looked up"},
	{21211, caller.Permanent, false, "the customer's number is not a valid phone number"},
	{21212, caller.Permanent, false, "the sending number is not a valid phone number; check the account's number"},
	{21266, caller.Permanent, false, "sender and recipient are the same number"},
	{21408, caller.Permanent, false, "the Twilio account may not send to that country; allow it in Twilio's geo permissions"},
	{21601, caller.Permanent, false, "the sending number cannot send SMS"},
	{21602, caller.Permanent, false, "the text is empty"},
	{21603, caller.Permanent, false, "no sending number was given"},
	{21604, caller.Permanent, false, "no recipient was given"},
	{21606, caller.Permanent, false, "the sending number does not belong to the Twilio account or cannot send SMS"},
	{21608, caller.Permanent, false, "a trial account sends only to verified numbers; upgrade the Twilio account"},
	{21609, caller.Permanent, false, "Twilio refused the status callback address; check the public URL"},
	{21610, caller.Permanent, true, "the customer opted out at Twilio; only their START lifts it"},
	{21611, caller.Limited, false, "Twilio's queue for the sending number is full; the text waits"},
	{21612, caller.Permanent, false, "Twilio cannot send from this number to that one"},
	{21614, caller.Permanent, false, "the customer's number is not a mobile number"},
	{21617, caller.Permanent, false, "the text is longer than 1600 characters"},
	{21619, caller.Permanent, false, "the message has neither text nor media"},
	{21620, caller.Permanent, false, "an attachment's address is not a valid URL"},
	{21623, caller.Permanent, false, "a message has at most ten attachments"},
	{21635, caller.Permanent, false, "the customer's number is a landline"},
	{21703, caller.Permanent, false, "the messaging service has no sender; add a number to it"},
	{21705, caller.Permanent, false, "the messaging service is not known to Twilio"},
	{21910, caller.Permanent, false, "sender and recipient are not on the same channel"},
	{30001, caller.Retryable, false, "Twilio's queue overflowed"},
	{30002, caller.Unauthorized, false, "the Twilio account is suspended"},
	{30003, caller.Retryable, false, "the customer's phone could not be reached: switched off or without service"},
	{30004, caller.Permanent, false, "the customer or their carrier blocks messages from this number"},
	{30005, caller.Permanent, false, "the customer's number is not known or no longer in service"},
	{30006, caller.Permanent, false, "the customer's number is a landline or its carrier cannot be reached"},
	{30007, caller.Permanent, false, "a carrier filtered the text as unwanted"},
	{30008, caller.Permanent, false, "the carrier did not deliver the text and did not say why"},
	{30010, caller.Permanent, false, "the text would cost more than the price limit"},
	{30011, caller.Permanent, false, "attachments are not supported in the customer's region"},
	{30017, caller.Retryable, false, "the carrier's network is congested"},
	{30018, caller.Permanent, false, "the customer's carrier requires a registered sender"},
	{30019, caller.Permanent, false, "the attachment is larger than the carrier allows"},
	{30022, caller.Limited, false, "the sender's A2P 10DLC rate limit is used up"},
	{30023, caller.Limited, false, "the sender's A2P 10DLC daily limit is used up"},
	{30024, caller.Permanent, false, "the sending number is not provisioned at the carrier"},
	{30032, caller.Permanent, false, "the toll-free number is not verified; verify it in Twilio's console"},
	{30034, caller.Permanent, false, "the number is not registered for A2P 10DLC; register it in Twilio's console"},
	{30036, caller.Permanent, false, "the text was not sent within its validity period"},
	{63016, caller.Permanent, false, "outside WhatsApp's window a template is needed"},
	{63018, caller.Limited, false, "the channel limits how fast this sender may send; the text waits"},
}

// LookupCode returns what a code means; ok is false for one that is not in the
// table.
func LookupCode(code int) (meaning ErrorCode, ok bool) {
	i, ok := slices.BinarySearchFunc(errorCodes[:], code, func(e ErrorCode, code int) int { return cmp.Compare(e.Code, code) })
	if !ok {
		return ErrorCode{}, false
	}
	return errorCodes[i], true
}

// Meaning returns what a code means in plain words; a code that is not in the
// table is named as such.
func Meaning(code int) string {
	if code == 0 {
		return ""
	}
	if known, ok := LookupCode(code); ok {
		return known.Meaning
	}
	return "Twilio error " + strconv.Itoa(code) + "; see Twilio's error dictionary"
}

// refusal is Twilio's error body.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Status  int    `json:"status"`
}

// failure turns an answer that is no success into what steers the caller: by
// code where the table has it, else by HTTP status. A 5xx does not say whether
// the message was taken.
func failure(status int, header http.Header, r refusal) *caller.Error {
	known, ok := LookupCode(r.Code)
	if !ok {
		known = byStatus(status)
		if r.Message != "" {
			known.Meaning += ": " + r.Message
		}
	}
	e := &caller.Error{Kind: known.Kind, Meaning: known.Meaning, OptedOut: known.OptedOut, Code: strconv.Itoa(status)}
	if r.Code != 0 {
		e.Code = strconv.Itoa(r.Code)
	}
	if e.Kind == caller.Limited {
		e.RetryAfter, _ = httpcall.RetryAfter(header, time.Second)
	}
	return e
}

func byStatus(status int) ErrorCode {
	switch {
	case status == http.StatusTooManyRequests:
		return ErrorCode{Kind: caller.Limited, Meaning: "too many requests to Twilio; the text waits"}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return ErrorCode{Kind: caller.Unauthorized, Meaning: "Twilio refused the credentials"}
	case status == http.StatusRequestTimeout || status >= 500:
		return ErrorCode{Kind: caller.Ambiguous, Meaning: "Twilio failed to answer; whether it took the text is being looked up"}
	default:
		return ErrorCode{Kind: caller.Permanent, Meaning: "Twilio refused the request"}
	}
}
