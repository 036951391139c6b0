package sim

import (
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// shownMessages bounds the page for people; /_received has all.
const shownMessages = 200

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>SMS provider stand-in</title>
<meta http-equiv="refresh" content="3"><meta name="viewport" content="width=device-width">
<style>
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1f24;background:#f6f7f9}
h1{font-size:1.3rem;margin:0 0 .2rem}p{color:#5a6472;margin:0 0 1.2rem}
table{border-collapse:collapse;width:100%;background:#fff;border:1px solid #dfe3e8}
th,td{text-align:left;padding:.45rem .7rem;border-bottom:1px solid #e9ecf0;vertical-align:top}
th{color:#5a6472;font-weight:600;font-size:.85rem}td.text{white-space:pre-wrap;overflow-wrap:anywhere}
</style></head><body>
<h1>SMS provider stand-in</h1>
<p>{{.Total}} messages, newest first. All as <a href="_received">JSON</a>.</p>
<table><tr><th>Time</th><th></th><th>From</th><th>To</th><th>Text</th><th>Status</th></tr>
{{range .Messages}}<tr><td>{{.At.Format "15:04:05"}}</td><td>{{if .Inbound}}in{{else}}out{{end}}</td><td>{{.From}}</td><td>{{.To}}</td><td class="text">{{.Text}}{{range .Media}}
[{{.}}]{{end}}</td><td>{{.Status}}</td></tr>
{{else}}<tr><td colspan="6">Nothing yet.</td></tr>
{{end}}</table></body></html>`))

// page shows the newest messages to people.
func (s *Sim) page(w http.ResponseWriter, _ *http.Request) {
	all := s.Messages()
	total := len(all)
	slices.Reverse(all)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pageTemplate.Execute(w, struct { // The reader hung up.
		Total    int
		Messages []Message
	}{total, all[:min(total, shownMessages)]})
}

// received shows everything as JSON.
func (s *Sim) received(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"messages": s.Messages()})
}

// text lets a person with curl text a shop: form fields from, to, body.
func (s *Sim) text(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": "not a form: " + err.Error()})
		return
	}
	from, to, body := number(r.PostForm.Get("from")), number(r.PostForm.Get("to")), r.PostForm.Get("body")
	if from == "" || body == "" {
		answer(w, http.StatusBadRequest, map[string]any{"error": "from, to and body are needed, e.g. from=%2B14155550123"})
		return
	}
	id, err := s.Text(r.Context(), from, to, body)
	switch {
	case err != nil && id == "":
		answer(w, http.StatusNotFound, map[string]any{"error": err.Error()})
	case err != nil:
		answer(w, http.StatusBadGateway, map[string]any{"id": id, "error": err.Error()})
	default:
		answer(w, http.StatusOK, map[string]any{"id": id})
	}
}

// number forgives a plus sign that was not escaped and so came as a space.
func number(s string) string {
	trimmed := strings.TrimSpace(s)
	if strings.HasPrefix(s, " ") && trimmed != "" && trimmed[0] >= '0' && trimmed[0] <= '9' {
		return "+" + trimmed
	}
	return trimmed
}
