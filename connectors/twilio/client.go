package twilio

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
)

// DefaultBaseURL is Twilio's REST API.
const DefaultBaseURL = "https://api.twilio.com"

// MaxBody is the longest text of one message, in UTF-16 units.
const MaxBody = 1600

const (
	apiVersion = "/2010-04-01"
	// maxAnswer bounds what is read of one answer: 1000 messages of a page.
	maxAnswer = 8 << 20
	// pageSize is the most messages one page of a list may hold.
	pageSize = 1000
	// maxPages bounds one listing; a million messages to one number is no
	// conversation.
	maxPages = 1000
)

// Account is whose messages a request is about, where, and how it is proved.
type Account struct {
	// BaseURL of the API; empty means DefaultBaseURL.
	BaseURL string
	// SID of the account, "AC…".
	SID string
	// AuthToken of the account.
	AuthToken string
}

// Client calls Twilio's REST API for any number of accounts. It is safe for
// concurrent use. Errors are *caller.Error, so they say whether the request may
// have been taken.
type Client struct {
	http *http.Client
}

// NewClient returns a client whose requests are carried by transport; nil means
// http.DefaultTransport. Redirects are not followed, so that a request is made
// once and only where it was meant for. A request's time is bounded by its
// context.
func NewClient(transport http.RoundTripper) *Client {
	return &Client{http: httpcall.NewClient(transport)}
}

// Outbound is one message to send.
type Outbound struct {
	To string
	// From is the sending number; MessagingServiceSID lets Twilio choose one
	// where From is empty.
	From                string
	MessagingServiceSID string
	// Body is at most MaxBody long.
	Body string
	// MediaURLs are at most MaxMedia.
	MediaURLs []string
	// StatusCallback is where Twilio reports what becomes of it; may be empty.
	StatusCallback string
}

// Send asks Twilio to send a message and returns the resource it made, once. An
// Ambiguous error means that Twilio may have taken it: look it up with List
// before trying again.
func (c *Client) Send(ctx context.Context, account Account, out Outbound) (*Message, error) {
	form := url.Values{"To": {out.To}}
	for key, v := range map[string]string{
		"From": out.From, "MessagingServiceSid": out.MessagingServiceSID,
		"Body": out.Body, "StatusCallback": out.StatusCallback,
	} {
		if v != "" {
			form.Set(key, v)
		}
	}
	for _, u := range out.MediaURLs {
		form.Add("MediaUrl", u)
	}
	m := &Message{}
	if err := c.do(ctx, account, http.MethodPost, account.messagesURL(), form, m); err != nil {
		return nil, err
	}
	if m.SID == "" {
		return nil, &caller.Error{Kind: caller.Ambiguous, Meaning: "Twilio's answer names no message"}
	}
	return m, nil
}

// Query chooses messages of an account; empty fields choose all.
type Query struct {
	To, From string
	// SentSince leaves out what was sent on earlier days (UTC) and what was not
	// sent yet: the API filters by day, and a queued message has no such date.
	SentSince time.Time
}

// List yields the messages of an account, newest first, fetching page after page
// as they are consumed. It ends after the first error.
func (c *Client) List(ctx context.Context, account Account, q Query) iter.Seq2[*Message, error] {
	return func(yield func(*Message, error) bool) {
		next := account.messagesURL() + "?" + q.encode()
		for range maxPages {
			var page struct {
				Messages    []*Message `json:"messages"`
				NextPageURI string     `json:"next_page_uri"`
			}
			if err := c.do(ctx, account, http.MethodGet, next, nil, &page); err != nil {
				yield(nil, err)
				return
			}
			for _, m := range page.Messages {
				if m != nil && !yield(m, nil) {
					return
				}
			}
			if page.NextPageURI == "" {
				return
			}
			if !strings.HasPrefix(page.NextPageURI, "/") || strings.HasPrefix(page.NextPageURI, "//") {
				yield(nil, &caller.Error{Kind: caller.Retryable, Meaning: "Twilio's next page is not on its own server"})
				return
			}
			next = account.base() + page.NextPageURI
		}
		yield(nil, &caller.Error{Kind: caller.Retryable, Meaning: "Twilio's list has too many pages"})
	}
}

func (q Query) encode() string {
	v := url.Values{"PageSize": {strconv.Itoa(pageSize)}}
	if q.To != "" {
		v.Set("To", q.To)
	}
	if q.From != "" {
		v.Set("From", q.From)
	}
	if !q.SentSince.IsZero() {
		v.Set("DateSent>", q.SentSince.UTC().Format(time.DateOnly))
	}
	return v.Encode()
}

func (a Account) base() string {
	if a.BaseURL == "" {
		return DefaultBaseURL
	}
	return strings.TrimRight(a.BaseURL, "/")
}

func (a Account) messagesURL() string {
	return a.base() + apiVersion + "/Accounts/" + url.PathEscape(a.SID) + "/Messages.json"
}

// do makes one request and reads its answer into result.
func (c *Client) do(ctx context.Context, account Account, method, target string, form url.Values, result any) error {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return &caller.Error{Kind: caller.Permanent, Meaning: "the request to Twilio cannot be made", Err: httpcall.WithoutURL(err)}
	}
	req.SetBasicAuth(account.SID, account.AuthToken)
	req.Header.Set("Accept", "application/json")
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := httpcall.Do(c.http, req, "Twilio", maxAnswer)
	if err != nil {
		return err
	}
	if !answer.OK() {
		var r refusal
		_ = json.Unmarshal(answer.Body, &r) // A body of another kind is judged by its status.
		return failure(answer.Status, answer.Header, r)
	}
	if err := json.Unmarshal(answer.Body, result); err != nil {
		return &caller.Error{Kind: caller.Ambiguous, Meaning: "Twilio's answer cannot be read; whether it took the request is not known", Err: err}
	}
	return nil
}
