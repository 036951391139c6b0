package sim

import (
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	"github.com/handoff-dev/handoff/connectors/twilio"
)

// shownThreads and shownMessages bound the page for people; /_received has all.
const (
	shownThreads  = 50
	shownMessages = 30
)

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Twilio stand-in</title>
<meta http-equiv="refresh" content="3"><meta name="viewport" content="width=device-width">
<style>
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24;background:#f6f7f9}
h1{font-size:1.3rem;margin:0 0 .2rem}p.sub{color:#5a6472;margin:0 0 1.2rem}
section{background:#fff;border:1px solid #dfe3e8;border-radius:10px;padding:1rem;margin:0 0 1rem}
h2{font-size:1rem;margin:0 0 .6rem}h2 span{color:#5a6472;font-weight:400}
.m{max-width:70%;padding:.45rem .7rem;border-radius:12px;margin:.3rem 0;white-space:pre-wrap;overflow-wrap:anywhere;width:fit-content}
.in{background:#e9ecf0}.out{background:#d3e5ff;margin-left:auto}.own{background:#fdf1d0;margin-left:auto}
.m small{display:block;color:#5a6472;font-size:.78rem;white-space:normal}.bad{color:#b3261e}
</style></head><body>
<h1>Twilio stand-in</h1>
<p class="sub">{{.Inbound}} texts in, {{.Outbound}} out, {{.Posts}} webhooks ({{.Failed}} not taken). All as <a href="_received">JSON</a>. Newest thread first.</p>
{{range .Threads}}<section><h2>{{.Customer}} <span>with {{.Number}}{{if .Blocked}} · opted out here{{end}}</span></h2>
{{range .Messages}}<div class="m {{.Side}}">{{.Body}}{{range .Media}}
[{{.}}]{{end}}<small>{{.At}} · {{.Status}}{{if gt .Segments 1}} · {{.Segments}} segments{{end}}{{if .Error}} · <span class="bad">{{.Error}}</span>{{end}}</small></div>
{{end}}</section>
{{else}}<section>Nothing yet. Text a shop: <code>curl --data-urlencode from=+14155550123 --data-urlencode to=NUMBER --data-urlencode body=hello …/_text</code></section>
{{end}}</body></html>`))

type threadView struct {
	Customer, Number string
	Blocked          bool
	Messages         []messageView
}

type messageView struct {
	Side, Body, At, Status, Error string
	Media                         []string
	Segments                      int
}

// page shows the threads to people.
func (s *Sim) page(w http.ResponseWriter, _ *http.Request) {
	view := struct {
		Inbound, Outbound, Posts, Failed int
		Threads                          []*threadView
	}{}
	s.mu.Lock()
	threads := map[pair]*threadView{}
	for _, m := range slices.Backward(s.messages) {
		who := pair{m.To, m.From}
		if m.Inbound() {
			who = pair{m.From, m.To}
			view.Inbound++
		} else {
			view.Outbound++
		}
		t, ok := threads[who]
		if !ok {
			t = &threadView{Customer: who.customer, Number: who.number, Blocked: s.blocked[who]}
			threads[who] = t
			if len(view.Threads) < shownThreads {
				view.Threads = append(view.Threads, t)
			}
		}
		if len(t.Messages) < shownMessages {
			t.Messages = append(t.Messages, viewOf(m))
		}
	}
	view.Posts = len(s.posts)
	for _, p := range s.posts {
		if p.Problem != "" {
			view.Failed++
		}
	}
	s.mu.Unlock()
	for _, t := range view.Threads {
		slices.Reverse(t.Messages)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplate.Execute(w, view) // The reader hung up.
}

func viewOf(m *message) messageView {
	v := messageView{
		Side: "out", Body: m.Body, At: m.Created.Format(time.TimeOnly), Status: string(m.Status), Segments: m.NumSegments,
	}
	switch {
	case m.Inbound():
		v.Side = "in"
	case m.Direction == "outbound-reply":
		v.Side = "own"
		v.Status = "answered by the provider"
	}
	if m.ErrorCode != 0 {
		v.Error = m.ErrorMessage
	}
	for _, media := range m.Media {
		v.Media = append(v.Media, media.URL)
	}
	return v
}

type receivedMessage struct {
	SID            string                 `json:"sid"`
	Direction      string                 `json:"direction"`
	From           string                 `json:"from"`
	To             string                 `json:"to"`
	Body           string                 `json:"body"`
	Media          []string               `json:"media,omitempty"`
	Status         twilio.MessageStatus   `json:"status"`
	History        []twilio.MessageStatus `json:"history"`
	ErrorCode      int                    `json:"error_code,omitempty"`
	Segments       int                    `json:"segments"`
	OptOutType     twilio.OptOut          `json:"opt_out_type,omitempty"`
	StatusCallback string                 `json:"status_callback,omitempty"`
	Created        time.Time              `json:"created"`
}

type receivedPost struct {
	URL     string               `json:"url"`
	SID     string               `json:"sid"`
	Status  twilio.MessageStatus `json:"status"`
	Code    int                  `json:"code"`
	Problem string               `json:"problem,omitempty"`
	At      time.Time            `json:"at"`
}

// received shows everything as JSON.
func (s *Sim) received(w http.ResponseWriter, _ *http.Request) {
	answer := struct {
		Messages []receivedMessage `json:"messages"`
		Webhooks []receivedPost    `json:"webhooks"`
	}{Messages: []receivedMessage{}, Webhooks: []receivedPost{}}
	for _, m := range s.Messages() {
		r := receivedMessage{
			SID: m.SID, Direction: m.Direction, From: m.From, To: m.To, Body: m.Body, Status: m.Status,
			History: m.History, ErrorCode: m.ErrorCode, Segments: m.NumSegments, OptOutType: m.OptOutType,
			StatusCallback: m.StatusCallback, Created: m.Created,
		}
		for _, media := range m.Media {
			r.Media = append(r.Media, media.URL)
		}
		answer.Messages = append(answer.Messages, r)
	}
	for _, p := range s.Posts() {
		answer.Webhooks = append(answer.Webhooks, receivedPost(p))
	}
	writeJSON(w, http.StatusOK, answer)
}

// text lets a person with curl text a shop: form fields from, to, body, media.
func (s *Sim) text(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "not a form: " + err.Error()})
		return
	}
	t := Text{From: standin.Number(r.PostForm.Get("from")), To: standin.Number(r.PostForm.Get("to")), Body: r.PostForm.Get("body")}
	for _, u := range r.PostForm["media"] {
		t.Media = append(t.Media, twilio.Media{URL: u, ContentType: "image/jpeg"})
	}
	if t.From == "" || (t.Body == "" && len(t.Media) == 0) {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": "from, to and body are needed, e.g. from=%2B14155550123"})
		return
	}
	sid, err := s.Text(r.Context(), t)
	switch {
	case err != nil && sid == "":
		writeJSON(w, http.StatusNotFound, map[string]string{"error": err.Error()})
	case err != nil:
		writeJSON(w, http.StatusBadGateway, map[string]string{"sid": sid, "error": err.Error()})
	default:
		writeJSON(w, http.StatusOK, map[string]string{"sid": sid})
	}
}
