package sim

import (
	"html/template"
	"net/http"
	"slices"

	"github.com/handoff-dev/handoff/connectors/desktest/standin"
)

// shownMessages bounds the page for people; /_received has all.
const shownMessages = 200

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>SMS provider stand-in</title>
<meta http-equiv="refresh" content="3"><meta name="viewport" content="width=device-width">
<style>
` + standin.TableStyle + `
</style></head><body>
<h1>SMS provider stand-in</h1>
<p>{{.Total}} messages, newest first. All as <a href="_received">JSON</a>.</p>
<table><tr><th>Time</th><th></th><th>From</th><th>To</th><th>Text</th><th>Status</th></tr>
{{range .Messages}}<tr><td>{{.At.Format "15:04:05"}}</td><td>{{if .Inbound}}in{{else}}out{{end}}</td><td>{{.From}}</td><td>{{.To}}</td><td class="text">{{.Text}}{{range .Media}}
[{{.}}]{{end}}</td><td>{{.Status}}</td></tr>
{{else}}<tr><td colspan="6">Nothing yet. Text a shop: <code>curl --data-urlencode from=+14155550123 --data-urlencode to=NUMBER --data-urlencode body=hello …/_text</code></td></tr>
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
	standin.WriteJSON(w, http.StatusOK, map[string]any{"messages": s.Messages()})
}

// text lets a person with curl text a shop: form fields from, to, body.
func (s *Sim) text(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		standin.WriteJSON(w, http.StatusBadRequest, map[string]any{"error": "not a form: " + err.Error()})
		return
	}
	from, to, body := standin.Number(r.PostForm.Get("from")), standin.Number(r.PostForm.Get("to")), r.PostForm.Get("body")
	if from == "" || body == "" {
		standin.WriteJSON(w, http.StatusBadRequest, map[string]any{"error": "from, to and body are needed, e.g. from=%2B14155550123"})
		return
	}
	id, err := s.Text(r.Context(), from, to, body)
	switch {
	case err != nil && id == "":
		standin.WriteJSON(w, http.StatusNotFound, map[string]any{"error": err.Error()})
	case err != nil:
		standin.WriteJSON(w, http.StatusBadGateway, map[string]any{"id": id, "error": err.Error()})
	default:
		standin.WriteJSON(w, http.StatusOK, map[string]any{"id": id})
	}
}
