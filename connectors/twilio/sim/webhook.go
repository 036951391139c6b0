package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/connectors/twilio"
	"github.com/handoff-dev/handoff/schemas"
)

// Text is what a customer sends.
type Text struct {
	// From is the customer, To a number of the account.
	From, To string
	Body     string
	Media    []twilio.Media
}

// Post is one webhook request the Sim made.
type Post struct {
	URL string
	// SID of the message it was about, and its status then.
	SID    string
	Status twilio.MessageStatus
	// Code is the HTTP status of the answer; 0 where there was none.
	Code int
	// Problem is what was wrong with the answer; empty when it was taken.
	Problem string
	At      time.Time
}

// ErrNumber is the error for texts to a number that the account does not have.
var ErrNumber = errors.New("twilio sim: no such number")

// Text lets a customer text a shop and brings it to the number's webhook, with
// retries. The SID is valid also with an error, which says that the webhook was
// not taken; Redeliver brings it again.
func (s *Sim) Text(ctx context.Context, t Text) (sid string, err error) {
	s.mu.Lock()
	hook, ok := s.webhooks[t.To]
	if !ok || s.life.Closed() {
		s.mu.Unlock()
		return "", fmt.Errorf("%w: %s", ErrNumber, t.To)
	}
	m := &message{Message: Message{Media: t.Media}}
	m.Direction, m.Status = "inbound", twilio.StatusReceived
	m.From, m.To, m.Body = t.From, t.To, t.Body
	m.NumSegments, _ = schemas.Segments(t.Body)
	m.NumSegments = max(m.NumSegments, 1)
	reply := s.keyword(m)
	m.Sent = s.life.Now().UTC().Truncate(time.Second)
	s.add(m)
	m.token = "token-" + m.SID
	if reply != "" {
		s.reply(m, reply)
	}
	sid = m.SID
	s.mu.Unlock()
	if hook == "" {
		return sid, nil
	}
	return sid, s.Redeliver(ctx, sid)
}

// Redeliver brings an inbound message to its webhook again, with the same token.
func (s *Sim) Redeliver(ctx context.Context, sid string) error {
	s.mu.Lock()
	m, ok := s.bySID[sid]
	if !ok || !m.Inbound() {
		s.mu.Unlock()
		return fmt.Errorf("twilio sim: no inbound message %s", sid)
	}
	hook, form, token := s.webhooks[m.To], inboundForm(m), m.token
	s.mu.Unlock()
	return s.deliver(ctx, hook, form, token)
}

func inboundForm(m *message) url.Values {
	form := url.Values{
		"MessageSid": {m.SID}, "SmsMessageSid": {m.SID}, "SmsSid": {m.SID}, "AccountSid": {m.AccountSID},
		"From": {m.From}, "To": {m.To}, "Body": {m.Body}, "SmsStatus": {"received"},
		"NumMedia": {strconv.Itoa(len(m.Media))}, "NumSegments": {strconv.Itoa(m.NumSegments)},
		"ApiVersion": {"2010-04-01"}, "FromCountry": {country(m.From)}, "ToCountry": {country(m.To)},
	}
	for i, media := range m.Media {
		form.Set("MediaUrl"+strconv.Itoa(i), media.URL)
		form.Set("MediaContentType"+strconv.Itoa(i), media.ContentType)
	}
	if m.OptOutType != twilio.OptOutNone {
		form.Set("OptOutType", string(m.OptOutType))
	}
	return form
}

func country(number string) string {
	switch {
	case strings.HasPrefix(number, "+1"):
		return "US"
	case strings.HasPrefix(number, "+44"):
		return "GB"
	default:
		return ""
	}
}

// progress moves a sent message on and reports each step to its callback.
func (s *Sim) progress(ctx context.Context, m *message) {
	steps := []twilio.MessageStatus{twilio.StatusQueued, twilio.StatusSent, twilio.StatusDelivered}
	if m.failure != 0 {
		steps[2] = twilio.StatusUndelivered
	}
	report := []int{0, 1, 2}
	if s.cfg.StatusesSwapped {
		report = []int{0, 2, 1}
	}
	for i := range steps {
		if i > 0 && !s.life.Wait(ctx, s.cfg.StepDelay) {
			return
		}
		s.mu.Lock()
		if i > 0 {
			if steps[i] == twilio.StatusUndelivered {
				m.ErrorCode, m.ErrorMessage = m.failure, twilio.Meaning(m.failure)
			}
			s.setStatus(m, steps[i])
		}
		callback := m.StatusCallback
		form, token := statusForm(m, steps[report[i]]), fmt.Sprintf("token-%s-%s", m.SID, steps[report[i]])
		s.mu.Unlock()
		if callback != "" {
			_ = s.deliver(ctx, callback, form, token) // Kept in Posts; Twilio tells nobody either.
		}
	}
}

// statusForm is a status callback; s.mu is held.
func statusForm(m *message, status twilio.MessageStatus) url.Values {
	form := url.Values{
		"MessageSid": {m.SID}, "SmsSid": {m.SID}, "AccountSid": {m.AccountSID}, "ApiVersion": {"2010-04-01"},
		"MessageStatus": {string(status)}, "SmsStatus": {string(status)}, "From": {m.From}, "To": {m.To},
	}
	if m.MessagingServiceSID != "" {
		form.Set("MessagingServiceSid", m.MessagingServiceSID)
	}
	if status == twilio.StatusUndelivered && m.failure != 0 {
		form.Set("ErrorCode", strconv.Itoa(m.failure))
	}
	return form
}

// deliver posts a form until it is taken or the retries are used up.
func (s *Sim) deliver(ctx context.Context, target string, form url.Values, token string) error {
	var err error
	for try := 0; ; try++ {
		if err = s.post(ctx, target, form, token); err == nil {
			break
		}
		if try >= s.cfg.WebhookRetries || !s.life.Wait(ctx, s.cfg.WebhookRetryDelay) {
			return err
		}
	}
	if s.cfg.DuplicateWebhooks {
		return s.post(ctx, target, form, token)
	}
	return nil
}

// post makes one signed webhook request and keeps how it went.
func (s *Sim) post(ctx context.Context, target string, form url.Values, token string) error {
	ctx, end := s.life.Within(ctx)
	defer end()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.WebhookTimeout)
	defer cancel()
	status := twilio.MessageStatus(form.Get("SmsStatus"))
	record := Post{URL: target, SID: form.Get("MessageSid"), Status: status}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
		req.Header.Set("User-Agent", "TwilioProxy/1.1")
		req.Header.Set(twilio.SignatureHeader, twilio.Sign(s.cfg.AuthToken, target, form))
		req.Header.Set(twilio.IdempotencyHeader, token)
		record.Code, err = s.roundTrip(req, status == twilio.StatusReceived)
	}
	if err != nil {
		record.Problem = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	record.At = s.life.Now().UTC()
	s.posts = append(s.posts, record)
	s.life.Change()
	return err
}

// roundTrip sends a webhook and judges the answer: any 2xx takes it, and the
// answer to a message must be TwiML.
func (s *Sim) roundTrip(req *http.Request, twiml bool) (code int, err error) {
	res, err := s.out.Do(req)
	if err != nil {
		return 0, fmt.Errorf("11200: the webhook cannot be reached: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return res.StatusCode, fmt.Errorf("11200: the webhook broke off: %w", err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return res.StatusCode, fmt.Errorf("11200: the webhook answered %s: %.200s", res.Status, body)
	}
	kind := res.Header.Get("Content-Type")
	if twiml && len(body) > 0 && !strings.HasPrefix(kind, "text/xml") && !strings.HasPrefix(kind, "application/xml") {
		return res.StatusCode, fmt.Errorf("12300: the webhook answered %q, not text/xml", kind)
	}
	return res.StatusCode, nil
}
