package httpcall

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/handoff-dev/handoff/pipeline/caller"
)

// maxJSON bounds what is read of one JSON answer, in bytes.
const maxJSON = 16 << 20

// JSON is a request of a JSON API.
type JSON struct {
	Method, URL string
	// User and Password of basic authentication.
	User, Password string
	// Header holds further headers; may be nil.
	Header map[string]string
	// Body is written as JSON; nil for none.
	Body any
	// Who names the other side in errors, e.g. "creating the ticket: the desk".
	Who string
	// Refused judges an answer that is not 2xx.
	Refused func(*Answer) *caller.Error
}

// Do makes the request once with client, as the function Do does, and decodes a 2xx answer into out,
// nil to ignore it. The answer is nil where none came whole. An answer that is too large is Permanent:
// it would be again. One that cannot be decoded is Ambiguous: it was carried out, but what came of it is
// not known.
func (j JSON) Do(ctx context.Context, client *http.Client, out any) (*Answer, error) {
	var body []byte
	if j.Body != nil {
		var err error
		if body, err = json.Marshal(j.Body); err != nil {
			return nil, &caller.Error{Kind: caller.Permanent, Meaning: j.Who + " cannot be asked: the request cannot be written as JSON", Err: err}
		}
	}
	req, err := http.NewRequestWithContext(ctx, j.Method, j.URL, bytes.NewReader(body))
	if err != nil {
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: j.Who + " has a bad address", Err: WithoutURL(err)}
	}
	req.SetBasicAuth(j.User, j.Password)
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range j.Header {
		req.Header.Set(name, value)
	}
	answer, err := Do(client, req, j.Who, maxJSON)
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, &caller.Error{Kind: caller.Permanent, Meaning: j.Who + " answered more than can be taken", Err: ErrTooLarge}
	case err != nil:
		return nil, err
	case !answer.OK():
		return answer, j.Refused(answer)
	case out == nil:
		return answer, nil
	}
	if err := json.Unmarshal(answer.Body, out); err != nil {
		return answer, &caller.Error{
			Kind: caller.Ambiguous, Code: strconv.Itoa(answer.Status), Meaning: j.Who + "'s answer is no JSON of the documented shape", Err: err,
		}
	}
	return answer, nil
}
