package sms

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/handoff-dev/handoff/schemas/settings"
)

const jsonType = "application/json"

// values are what placeholders stand for.
type values struct {
	id, from, to, text, secret string
	media                      []string
	template, language, tag    string
}

// Placeholders lists what {{name}} can stand in a template's URL, headers and
// body: the text's id, the account's number, the customer's number, the text,
// the URLs of its attachments separated by spaces, the account's secret, the name and language of the
// channel's template that the text stands for, and the tag under which it leaves ("human_agent"); the
// last three are empty for most texts.
func Placeholders() []string {
	return []string{"id", "from", "to", "text", "media", "secret", "template", "language", "tag"}
}

func (v *values) get(name string) (string, bool) {
	switch name {
	case "id":
		return v.id, true
	case "from":
		return v.from, true
	case "to":
		return v.to, true
	case "text":
		return v.text, true
	case "media":
		return strings.Join(v.media, " "), true
	case "secret":
		return v.secret, true
	case "template":
		return v.template, true
	case "language":
		return v.language, true
	case "tag":
		return v.tag, true
	default:
		return "", false
	}
}

// escape makes a value safe for where it is put.
type escape func(string) string

// expand fills in a template. An unknown or unclosed placeholder is an error
// that names it and its byte.
func expand(template string, v *values, esc escape) (string, error) {
	var b strings.Builder
	for rest := template; ; {
		before, after, ok := strings.Cut(rest, "{{")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		at := len(template) - len(after) - len("{{")
		name, more, ok := strings.Cut(after, "}}")
		if !ok {
			return "", fmt.Errorf("the placeholder at byte %d has no end", at)
		}
		value, ok := v.get(strings.TrimSpace(name))
		if !ok {
			return "", fmt.Errorf("there is no placeholder {{%s}} (byte %d); use %s", name, at, strings.Join(Placeholders(), ", "))
		}
		b.WriteString(esc(value))
		rest = more
	}
}

func asIs(s string) string { return s }

// inURL escapes for a path segment as well as for a query.
func inURL(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// inJSON escapes for the inside of a JSON string; the template has the quotes.
func inJSON(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return "" // Strings always encode.
	}
	return strings.TrimSuffix(strings.TrimSpace(b.String())[1:], `"`)
}

func inXML(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return "" // A Builder takes everything.
	}
	return b.String()
}

// escapeFor chooses by media type: JSON, forms and XML have their own escapes,
// anything else takes values as they are.
func escapeFor(contentType string) escape {
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil:
		return asIs
	case kind == jsonType || strings.HasSuffix(kind, "+json"):
		return inJSON
	case kind == "application/x-www-form-urlencoded":
		return url.QueryEscape
	case kind == "application/xml" || kind == "text/xml" || strings.HasSuffix(kind, "+xml"):
		return inXML
	default:
		return asIs
	}
}

// draft is a request that is ready to be made.
type draft struct {
	method, url, contentType string
	header                   http.Header
	body                     []byte
}

// render makes the request of an account's template; see settings.Request. The
// error says what is wrong with the template.
func render(a *settings.Account, v values) (*draft, error) {
	t := a.Request
	d := &draft{method: t.Method, contentType: t.ContentType, header: http.Header{}}
	if d.method == "" {
		d.method = http.MethodPost
	}
	if d.contentType == "" {
		d.contentType = jsonType
	}
	if t.Body != "" && !takesMedia(t) && len(v.media) > 0 {
		// The provider cannot take attachments: the customer gets their links.
		v.text = strings.TrimSpace(v.text + "\n" + strings.Join(v.media, "\n"))
	}
	var err error
	if d.url, err = expand(a.BaseURL, &v, inURL); err != nil {
		return nil, wrong("base_url", "%v", err)
	}
	for name, value := range t.Headers {
		filled, err := expand(value, &v, asIs)
		if err != nil {
			return nil, wrong("request.headers."+name, "%v", err)
		}
		if strings.ContainsAny(filled, "\r\n\x00") {
			return nil, wrong("request.headers."+name, "a line break cannot stand in a header")
		}
		d.header.Set(name, filled)
	}
	if t.Body == "" && d.method != http.MethodGet {
		d.body, err = defaultBody(d.contentType, v)
		return d, err
	}
	body, err := expand(t.Body, &v, escapeFor(d.contentType))
	if err != nil {
		return nil, wrong("request.body", "%v", err)
	}
	if kind, _, _ := mime.ParseMediaType(d.contentType); kind == jsonType && body != "" && !json.Valid([]byte(body)) {
		return nil, wrong("request.body", "it does not make JSON; placeholders stand inside quotes")
	}
	d.body = []byte(body)
	return d, nil
}

func takesMedia(t settings.Request) bool {
	return strings.Contains(strings.ReplaceAll(t.Body, " ", ""), "{{media}}")
}

// defaultBody has id, from, to, text and, where there are any, media, template with its language, and tag.
func defaultBody(contentType string, v values) ([]byte, error) {
	switch kind, _, _ := mime.ParseMediaType(contentType); kind {
	case jsonType:
		return json.Marshal(struct {
			ID    string   `json:"id"`
			From  string   `json:"from"`
			To    string   `json:"to"`
			Text  string   `json:"text"`
			Media []string `json:"media,omitempty"`

			Template string `json:"template,omitempty"`
			Language string `json:"language,omitempty"`
			Tag      string `json:"tag,omitempty"`
		}{v.id, v.from, v.to, v.text, v.media, v.template, v.language, v.tag})
	case "application/x-www-form-urlencoded":
		form := url.Values{"id": {v.id}, "from": {v.from}, "to": {v.to}, "text": {v.text}}
		if len(v.media) > 0 {
			form["media"] = v.media
		}
		for name, value := range map[string]string{"template": v.template, "language": v.language, "tag": v.tag} {
			if value != "" {
				form.Set(name, value)
			}
		}
		return []byte(form.Encode()), nil
	default:
		return nil, wrong("request.body", "it is missing; only JSON and forms have a default")
	}
}

// templateError is what is wrong with an account's template.
type templateError struct {
	setting, reason string
}

// Error names the setting and the reason.
func (e *templateError) Error() string { return e.setting + ": " + e.reason }

func wrong(setting, format string, args ...any) error {
	return &templateError{setting: setting, reason: fmt.Sprintf(format, args...)}
}

// Check returns what is wrong with the templates of a shop's accounts at generic
// providers; it is what settings.Parse, which knows no connector, cannot see.
func Check(shop *settings.Shop) []settings.Problem {
	var problems []settings.Problem
	for i := range shop.Accounts {
		a := &shop.Accounts[i]
		if a.Provider != Name {
			continue
		}
		if body := strings.ReplaceAll(a.Request.Body, " ", ""); a.Nudge.Template != "" && body != "" && !strings.Contains(body, "{{template}}") {
			problems = append(problems, settings.Problem{
				Path: fmt.Sprintf("accounts[%d].request.body", i), Reason: "has no {{template}}, so the provider could not be told of the nudge",
			})
		}
		_, err := render(a, values{id: "id", from: a.Account, to: "+15550000000", text: "text", secret: "secret"})
		if wrong, ok := errors.AsType[*templateError](err); ok {
			problems = append(problems, settings.Problem{
				Path: fmt.Sprintf("accounts[%d].%s", i, wrong.setting), Reason: wrong.reason,
			})
		}
	}
	return problems
}
