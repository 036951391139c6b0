package sim

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/connectors/twilio"
	"github.com/handoff-dev/handoff/schemas"
)

var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// api wraps a handler of the REST API with authentication.
func (s *Sim) api(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, token, ok := r.BasicAuth()
		if !ok || user != s.cfg.AccountSID || subtle.ConstantTimeCompare([]byte(token), []byte(s.cfg.AuthToken)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="Twilio API"`)
			refuse(w, http.StatusUnauthorized, 20003, "Authenticate")
			return
		}
		if r.PathValue("account") != s.cfg.AccountSID {
			refuse(w, http.StatusNotFound, 20404, "The requested resource was not found")
			return
		}
		next(w, r)
	}
}

// refuse answers with Twilio's error body.
func refuse(w http.ResponseWriter, status, code int, text string) {
	writeJSON(w, status, map[string]any{
		"code": code, "message": text, "status": status,
		"more_info": "https://www.twilio.com/docs/errors/" + strconv.Itoa(code),
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // The client hung up; there is nobody to tell.
}

// send takes a message, as POST Messages.json does.
func (s *Sim) send(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, 20001, "Invalid form")
		return
	}
	fault := s.fault(onSend, r.PostForm.Get("To"))
	if !s.before(w, r, fault) {
		return
	}
	m, code, problem := s.accept(r.PostForm, fault)
	if code != 0 {
		refuse(w, http.StatusBadRequest, code, problem)
		return
	}
	s.after(w, fault, m)
}

// accept checks a form and files the message; code is 0 when it did.
func (s *Sim) accept(form url.Values, fault *Fault) (wire map[string]any, code int, problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Closed() {
		return nil, 20503, "closed"
	}
	m := &message{Message: Message{StatusCallback: form.Get("StatusCallback")}}
	m.Direction, m.Status = "outbound-api", twilio.StatusQueued
	m.To, m.From, m.Body = form.Get("To"), form.Get("From"), form.Get("Body")
	m.MessagingServiceSID = form.Get("MessagingServiceSid")
	for _, u := range form["MediaUrl"] {
		m.Media = append(m.Media, twilio.Media{URL: u})
	}
	if m.From == "" {
		m.From = s.cfg.Services[m.MessagingServiceSID]
	}
	if code, problem := s.check(m, form); code != 0 {
		return nil, code, problem
	}
	m.NumSegments, _ = schemas.Segments(m.Body)
	m.NumSegments = max(m.NumSegments, 1)
	if fault != nil && fault.Kind == Undelivered {
		m.failure = fault.Code
	}
	s.add(m)
	s.life.Go(func(ctx context.Context) { s.progress(ctx, m) })
	return s.wire(m), 0, ""
}

// check finds what Twilio would refuse; s.mu is held.
func (s *Sim) check(m *message, form url.Values) (code int, problem string) {
	_, own := s.webhooks[m.From]
	switch {
	case m.To == "":
		return 21604, "A 'To' phone number is required."
	case form.Get("From") == "" && m.MessagingServiceSID == "":
		return 21603, "A 'From' phone number is required."
	case m.From == "":
		return 21705, "The Messaging Service does not exist."
	case m.Body == "" && len(m.Media) == 0:
		return 21602, "Message body is required."
	case schemas.TextUnits(m.Body) > twilio.MaxBody:
		return 21617, "The message body exceeds the 1600 character limit."
	case len(m.Media) > twilio.MaxMedia:
		return 21623, "Too many media URLs."
	case !e164.MatchString(m.To):
		return 21211, "Invalid 'To' phone number: " + m.To
	case m.To == m.From:
		return 21266, "'To' and 'From' are the same."
	case !own:
		return 21606, "The 'From' number " + m.From + " is not of this account."
	case m.StatusCallback != "" && !isURL(m.StatusCallback):
		return 21609, "Invalid 'StatusCallback' URL."
	case s.blocked[pair{m.To, m.From}]:
		return 21610, "Attempt to send to unsubscribed recipient."
	}
	for _, media := range m.Media {
		if !isURL(media.URL) {
			return 21620, "Invalid media URL."
		}
	}
	return 0, ""
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != ""
}

// list pages through messages, newest first, as GET Messages.json does.
func (s *Sim) list(w http.ResponseWriter, r *http.Request) {
	fault := s.fault(onList, r.URL.Query().Get("To"))
	if !s.before(w, r, fault) {
		return
	}
	q := r.URL.Query()
	size, err := strconv.Atoi(q.Get("PageSize"))
	if err != nil || size < 1 {
		size = 50
	}
	size = min(size, 1000)
	number, _ := strconv.Atoi(q.Get("Page"))
	match, err := filter(q)
	if err != nil {
		refuse(w, http.StatusBadRequest, 20001, "Invalid date value.")
		return
	}
	page, last := s.collect(match, strings.TrimPrefix(q.Get("PageToken"), "PA"), size)
	self := url.Values{}
	for key := range q {
		if key != "Page" && key != "PageToken" {
			self.Set(key, q.Get(key))
		}
	}
	answer := map[string]any{
		"messages": page, "page": number, "page_size": size,
		"start": number * size, "end": number*size + max(len(page)-1, 0),
		"uri":            r.URL.RequestURI(),
		"first_page_uri": r.URL.Path + "?" + self.Encode() + "&Page=0",
		"next_page_uri":  nil, "previous_page_uri": nil,
	}
	if last != "" {
		answer["next_page_uri"] = fmt.Sprintf("%s?%s&Page=%d&PageToken=PA%s", r.URL.Path, self.Encode(), number+1, last)
	}
	writeJSON(w, http.StatusOK, answer)
}

// collect gathers one page after the message named by token; last is the token
// of the next page, empty where there is none.
func (s *Sim) collect(match func(*message) bool, token string, size int) (page []map[string]any, last string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	page = []map[string]any{}
	skipping := token != ""
	for _, m := range slices.Backward(s.messages) {
		if skipping {
			skipping = m.SID != token
			continue
		}
		if !match(m) {
			continue
		}
		if len(page) == size {
			return page, last
		}
		page = append(page, s.wire(m))
		last = m.SID
	}
	return page, ""
}

// filter reads To, From, DateSent, DateSent< and DateSent>. A message that was
// not sent yet has no such date and matches none of them.
func filter(q url.Values) (func(*message) bool, error) {
	days := map[string]string{}
	for _, key := range []string{"DateSent", "DateSent<", "DateSent>"} {
		value := q.Get(key)
		if value == "" {
			continue
		}
		day, _, _ := strings.Cut(value, "T")
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return nil, fmt.Errorf("reading %s: %w", key, err)
		}
		days[key] = day
	}
	return func(m *message) bool {
		if to := q.Get("To"); to != "" && to != m.To {
			return false
		}
		if from := q.Get("From"); from != "" && from != m.From {
			return false
		}
		if len(days) > 0 && m.Sent.IsZero() {
			return false
		}
		sent := m.Sent.Format(time.DateOnly)
		return (days["DateSent"] == "" || sent == days["DateSent"]) &&
			(days["DateSent<"] == "" || sent <= days["DateSent<"]) &&
			(days["DateSent>"] == "" || sent >= days["DateSent>"])
	}, nil
}

// fetch returns one message.
func (s *Sim) fetch(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	m, ok := s.bySID[strings.TrimSuffix(r.PathValue("sid"), ".json")]
	var wire map[string]any
	if ok {
		wire = s.wire(m)
	}
	s.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, 20404, "The requested resource was not found")
		return
	}
	writeJSON(w, http.StatusOK, wire)
}

// wire is the Message resource as the API writes it; s.mu is held.
func (s *Sim) wire(m *message) map[string]any {
	uri := "/2010-04-01/Accounts/" + m.AccountSID + "/Messages/" + m.SID
	w := map[string]any{
		"sid": m.SID, "account_sid": m.AccountSID, "api_version": "2010-04-01",
		"direction": m.Direction, "from": m.From, "to": m.To, "body": m.Body,
		"status": m.Status, "num_segments": strconv.Itoa(m.NumSegments), "num_media": strconv.Itoa(m.NumMedia),
		"date_created": m.Created.Format(time.RFC1123Z), "date_updated": m.Created.Format(time.RFC1123Z),
		"date_sent": nil, "error_code": nil, "error_message": nil, "messaging_service_sid": nil,
		"price": nil, "price_unit": "USD", "uri": uri + ".json",
		"subresource_uris": map[string]string{"media": uri + "/Media.json"},
	}
	if !m.Sent.IsZero() {
		w["date_sent"] = m.Sent.Format(time.RFC1123Z)
	}
	if m.ErrorCode != 0 {
		w["error_code"], w["error_message"] = m.ErrorCode, m.ErrorMessage
	}
	if m.MessagingServiceSID != "" {
		w["messaging_service_sid"] = m.MessagingServiceSID
		if m.Sent.IsZero() { // The sender is chosen when the message leaves the queue.
			w["from"], w["num_segments"] = nil, "0"
		}
	}
	return w
}
