// Package evidence is what the ledger of consent is for: each change as it is shown and exported, and the keyed
// hash that changes are reduced to when their time is over (C9). Whoever has the changes from elsewhere, an
// earlier export for instance, and the key can show that they are the ones that were kept; from the hash alone
// nothing can be learned of them.
package evidence

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// MinKey is the least length of a key, in bytes: addresses and keywords are few enough to be guessed with a
// shorter one.
const MinKey = 32

// Change is one change of the ledger.
type Change struct {
	Shop    string `json:"shop"`
	Address string `json:"address"`
	// Subscriber is the number of the subscriber at the address, from 1.
	Subscriber uint64 `json:"subscriber"`
	// Change is the ledger's version that it made.
	Change uint64    `json:"change"`
	At     time.Time `json:"at"`
	Since  time.Time `json:"since"`
	Scope  string    `json:"scope"`
	// Prior and Status are as Status names them, Source as Source does.
	Prior        string `json:"prior"`
	Status       string `json:"status"`
	Source       string `json:"source"`
	Keyword      string `json:"keyword"`
	Text         string `json:"text"`
	By           string `json:"by"`
	Conversation string `json:"conversation"`
	Record       string `json:"record"`
}

// Of is a ledger's line.
func Of(key schemas.Key, l *statev1.LedgerLine) Change {
	since := l.GetAt()
	if l.GetSince() != nil {
		since = l.GetSince()
	}
	return Change{
		Shop: key.Shop, Address: key.Address, Subscriber: max(l.GetSubscriber(), 1), Change: l.GetVersion(),
		At: l.GetAt().AsTime(), Since: since.AsTime(),
		Scope: l.GetScope(), Prior: Status(l.GetPrior()), Status: Status(l.GetStatus()), Source: Source(l.GetSource()),
		Keyword: l.GetKeyword(), Text: l.GetText(), By: l.GetBy(), Conversation: l.GetConversation(), Record: l.GetRecordId(),
	}
}

// Status names a status; "unknown" for none.
func Status(s handoffv1.ConsentStatus) string {
	if s == handoffv1.ConsentStatus_CONSENT_STATUS_UNSPECIFIED {
		return "unknown"
	}
	return strings.ToLower(strings.TrimPrefix(s.String(), "CONSENT_STATUS_"))
}

// Source names a source as tables do, e.g. "first_message".
func Source(s handoffv1.ConsentSource) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "CONSENT_SOURCE_"))
}

// Hash is the HMAC-SHA256 of changes in their order, behind the hash that those before them were reduced to;
// nil where there was none. Every field counts, each preceded by its length, times as RFC 3339 in UTC.
func Hash(key, before []byte, changes []Change) []byte {
	mac := hmac.New(sha256.New, key)
	write := func(part string) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(part)))
		mac.Write(n[:])
		mac.Write([]byte(part))
	}
	write(string(before))
	for _, c := range changes {
		for _, part := range []string{
			c.Shop, c.Address, strconv.FormatUint(c.Subscriber, 10), strconv.FormatUint(c.Change, 10),
			c.At.UTC().Format(time.RFC3339Nano), c.Since.UTC().Format(time.RFC3339Nano),
			c.Scope, c.Prior, c.Status, c.Source, c.Keyword, c.Text, c.By, c.Conversation, c.Record,
		} {
			write(part)
		}
	}
	return mac.Sum(nil)
}

// Fingerprint names a key without telling it.
func Fingerprint(key []byte) string {
	sum := sha256.Sum256(append([]byte("handoff ledger key\x00"), key...))
	return hex.EncodeToString(sum[:4])
}
