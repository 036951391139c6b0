package sms

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/schemas/settings"
)

const nasty = "a\"b\\c\n&=+%<>{{to}}é👍\u2028"

func TestRender(t *testing.T) {
	v := values{id: "c1", from: "+15557770000", to: "+14155550123", text: "hi", secret: "s3"}
	cases := []struct {
		name    string
		account settings.Account
		media   []string
		url     string
		body    string
		header  string // value of X-Test
	}{
		{"default", settings.Account{BaseURL: "https://p/send"}, nil, "https://p/send",
			`{"id":"c1","from":"+15557770000","to":"+14155550123","text":"hi"}`, ""},
		{"default with media", settings.Account{BaseURL: "https://p/send"}, []string{"https://x/1", "https://x/2"}, "https://p/send",
			`{"id":"c1","from":"+15557770000","to":"+14155550123","text":"hi","media":["https://x/1","https://x/2"]}`, ""},
		{"default form", settings.Account{BaseURL: "https://p/send", Request: settings.Request{ContentType: "application/x-www-form-urlencoded"}}, nil, "https://p/send",
			"from=%2B15557770000&id=c1&text=hi&to=%2B14155550123", ""},
		{"everything", settings.Account{BaseURL: "https://p/{{ from }}/send?to={{to}}", Request: settings.Request{
			ContentType: "text/plain", Body: "{{text}} for {{to}}", Headers: map[string]string{"X-Test": "Bearer {{secret}}"},
		}}, nil, "https://p/%2B15557770000/send?to=%2B14155550123", "hi for +14155550123", "Bearer s3"},
		{"get without a body", settings.Account{BaseURL: "https://p/?t={{text}}", Request: settings.Request{Method: "GET"}}, nil, "https://p/?t=hi", "", ""},
		{"media where the template takes it", settings.Account{BaseURL: "https://p", Request: settings.Request{Body: `{"t":"{{text}}","m":"{{ media }}"}`}},
			[]string{"https://x/1", "https://x/2"}, "https://p", `{"t":"hi","m":"https://x/1 https://x/2"}`, ""},
		{"media as links where it does not", settings.Account{BaseURL: "https://p", Request: settings.Request{Body: `{"t":"{{text}}"}`}},
			[]string{"https://x/1"}, "https://p", `{"t":"hi\nhttps://x/1"}`, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := v
			v.media = c.media
			d, err := render(&c.account, v)
			if err != nil {
				t.Fatal(err)
			}
			if d.url != c.url || string(d.body) != c.body || d.header.Get("X-Test") != c.header {
				t.Errorf("url %s\nbody %s\nheader %s", d.url, d.body, d.header.Get("X-Test"))
			}
		})
	}
}

func TestRenderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		account settings.Account
		place   string
	}{
		"unknown placeholder": {settings.Account{Request: settings.Request{Body: `{"t":"{{txt}}"}`}}, "request.body"},
		"unclosed":            {settings.Account{Request: settings.Request{Body: `{"t":"{{text"}`}}, "request.body"},
		"in the URL":          {settings.Account{BaseURL: "https://p/{{number}}"}, "base_url"},
		"in a header":         {settings.Account{Request: settings.Request{Headers: map[string]string{"A": "{{x}}"}}}, "request.headers.A"},
		"not JSON":            {settings.Account{Request: settings.Request{Body: `{"t":{{text}}}`}}, "request.body"},
		"no default":          {settings.Account{Request: settings.Request{ContentType: "text/xml"}}, "request.body"},
	} {
		c.account.Provider = Name
		shop := &settings.Shop{Accounts: []settings.Account{{Provider: "twilio", BaseURL: "{{x}}"}, c.account}}
		if problems := Check(shop); len(problems) != 1 || problems[0].Path != "accounts[1]."+c.place || problems[0].Reason == "" {
			t.Errorf("%s: problems %v, want one about %s", name, problems, c.place)
		}
	}
	if problems := Check(&settings.Shop{Accounts: []settings.Account{{Provider: Name, BaseURL: "https://p"}}}); problems != nil {
		t.Errorf("the default is refused: %v", problems)
	}
	header := settings.Account{Request: settings.Request{Headers: map[string]string{"A": "{{text}}"}}}
	if _, err := render(&header, values{text: "a\r\nX-Evil: 1"}); err == nil {
		t.Error("a line break was let into a header")
	}
}

// FuzzEscapes holds that a receiver of each content type reads exactly the text
// that was sent, whatever it is.
func FuzzEscapes(f *testing.F) {
	f.Add(nasty)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?")
		v := &values{text: text}
		filled := func(template, kind string) string {
			s, err := expand(template, v, escapeFor(kind))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		var object struct{ T string }
		if err := json.Unmarshal([]byte(filled(`{"t":"{{text}}"}`, "application/json; charset=utf-8")), &object); err != nil || object.T != text {
			t.Fatalf("JSON: %q, %v", object.T, err)
		}
		form, err := url.ParseQuery(filled("a=1&t={{text}}&b=2", "application/x-www-form-urlencoded"))
		if err != nil || form.Get("t") != text || form.Get("b") != "2" || len(form) != 3 {
			t.Fatalf("form: %v, %v", form, err)
		}
		target, err := expand("https://p/{{text}}/x?t={{text}}&b=2", v, inURL)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(target)
		if err != nil || u.Query().Get("t") != text || u.Path != "/"+text+"/x" || u.Query().Get("b") != "2" {
			t.Fatalf("URL: %s, %v", target, err)
		}
		if n, err := elements(filled("<m><t>{{text}}</t></m>", "text/xml")); err != nil || n != 2 {
			t.Fatalf("XML: %d elements, %v", n, err)
		}
	})
}

func elements(doc string) (n int, err error) {
	dec := xml.NewDecoder(strings.NewReader(doc))
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		if _, ok := token.(xml.StartElement); ok {
			n++
		}
	}
}
