package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Condition is what must hold: all of the keys that are set. A list under a key holds where one of its
// words does, unless it says otherwise.
type Condition struct {
	// All of these hold.
	All []Condition `yaml:"all"`
	// Any of these holds.
	Any []Condition `yaml:"any"`
	// None of these holds.
	None []Condition `yaml:"none"`
	// Channel of the conversation: sms, whatsapp, messenger, instagram, x, line, wechat.
	Channel Words `yaml:"channel"`
	// Status of the ticket now: new, open, pending, on_hold, solved, closed, spam, deleted; none for no
	// ticket.
	Status Words `yaml:"status"`
	// StatusBefore is the status of the same ticket before what happened.
	StatusBefore Words `yaml:"status_before"`
	// TagsContain: the ticket or the subscriber has all of these tags.
	TagsContain Words `yaml:"tags_contain"`
	// TagsLack: neither has any of these tags.
	TagsLack Words `yaml:"tags_lack"`
	// SubjectContains: the ticket's subject holds one of these, in any case.
	SubjectContains Words `yaml:"subject_contains"`
	// SubjectMatches: the ticket's subject matches this regular expression (RE2).
	SubjectMatches string `yaml:"subject_matches"`
	// NameInSubject: the ticket's subject holds the customer's name.
	NameInSubject *bool `yaml:"name_in_subject"`
	// TextContains: the customer's last message holds one of these, in any case.
	TextContains Words `yaml:"text_contains"`
	// TextMatches: the customer's last message matches this regular expression (RE2).
	TextMatches string `yaml:"text_matches"`
	// Intent of the customer's last message; none where the classifier is not sure.
	Intent Words `yaml:"intent"`
	// SentimentBelow: the sentiment of the customer's last message is below this, -1 (furious) to 1.
	SentimentBelow *float64 `yaml:"sentiment_below"`
	// SentimentAbove: it is above this.
	SentimentAbove *float64 `yaml:"sentiment_above"`
	// Language of the conversation; pt holds for pt-BR too.
	Language Words `yaml:"language"`
	// Subscriber holds fields of the subscriber: name, address, consent. A value may end in *; "" is a
	// field that is not known.
	Subscriber map[string]Words `yaml:"subscriber"`
	// SupportHours: open or closed, at this moment.
	SupportHours string `yaml:"support_hours"`
	// Episode is the state of the newest episode: offered, requested, open, closed, expired, declined,
	// lapsed, failed, opted_out; none where there was none.
	Episode Words `yaml:"episode"`
	// LastAuthor wrote last on the ticket: customer or agent.
	LastAuthor Words `yaml:"last_author"`
	// FollowUp: the ticket is linked to an earlier one.
	FollowUp *bool `yaml:"follow_up"`
	// PublicPost: the message is a post that everybody can read.
	PublicPost *bool `yaml:"public_post"`
	// Expr is a condition as an expression over the same things, e.g. sentiment < -0.5 and "vip" in tags.
	Expr string `yaml:"expr"`
}

// node is a compiled condition: a leaf that tests, or a way of joining others.
type node struct {
	join join
	kids []node
	test func(*Event) bool
	// says names the condition, got what is so instead.
	says string
	got  func(*Event) string
}

type join uint8

const (
	leaf join = iota
	all
	anyOf
	noneOf
)

func (n *node) match(e *Event) bool {
	switch n.join {
	case leaf:
		return n.test(e)
	case all:
		for i := range n.kids {
			if !n.kids[i].match(e) {
				return false
			}
		}
		return true
	case anyOf, noneOf:
	}
	for i := range n.kids {
		if n.kids[i].match(e) {
			return n.join == anyOf
		}
	}
	return n.join == noneOf
}

// explain appends why the condition does not hold.
func (n *node) explain(e *Event, to []string) []string {
	if n.match(e) {
		return to
	}
	switch n.join {
	case leaf:
		return append(to, n.says+": it is "+n.got(e))
	case noneOf:
		for i := range n.kids {
			if n.kids[i].match(e) {
				to = append(to, "none of: "+n.kids[i].text()+" holds")
			}
		}
		return to
	case anyOf:
		to = append(to, "any of: none of them holds")
	case all:
	}
	for i := range n.kids {
		to = n.kids[i].explain(e, to)
	}
	return to
}

// text is a condition in words.
func (n *node) text() string {
	switch {
	case n.join == leaf:
		return n.says
	case n.join == all && len(n.kids) == 1:
		return n.kids[0].text()
	}
	kids := make([]string, len(n.kids))
	for i := range n.kids {
		kids[i] = n.kids[i].text()
	}
	return [...]string{"", "all", "any", "none"}[n.join] + " of (" + strings.Join(kids, "; ") + ")"
}

// deepest is how deep conditions may be nested, most how many a rule may have.
const (
	deepest = 8
	most    = 100
)

// compile makes a condition's nodes; problems go to the checker.
func (c *checker) compile(cond Condition, path string, depth int) node {
	n := node{join: all}
	if depth > deepest {
		c.add(path, "conditions are nested more than %d deep", deepest)
		return n
	}
	for _, group := range []struct {
		key  string
		join join
		list []Condition
	}{{"all", all, cond.All}, {"any", anyOf, cond.Any}, {"none", noneOf, cond.None}} {
		if group.list == nil {
			continue
		}
		if len(group.list) == 0 { // any of none would never hold, and be taken for no condition
			c.add(at("%s.%s", path, group.key), "is an empty list; leave it out, or name what must hold")
		}
		joined := node{join: group.join}
		for i, kid := range group.list {
			joined.kids = append(joined.kids, c.compile(kid, at("%s.%s[%d]", path, group.key, i), depth+1))
		}
		n.kids = append(n.kids, joined)
	}
	l := &leaves{c: c, path: path, of: &n}
	l.ticket(cond)
	l.message(cond)
	l.rest(cond)
	if c.conditions += len(n.kids); c.conditions > most {
		c.add(path, "the rule has more than %d conditions", most)
	}
	if len(n.kids) == 0 && depth > 0 {
		c.add(path, "is an empty condition; leave it out, or say what must hold")
	}
	return n
}

// leaves appends the leaves of one condition.
type leaves struct {
	c    *checker
	path string
	of   *node
}

func (l *leaves) add(key, want string, test func(*Event) bool, got func(*Event) string) {
	l.of.kids = append(l.of.kids, node{test: test, says: key + ": " + want, got: got})
}

// oneOf holds where a value is one of the words; "none" stands for no value.
func (l *leaves) oneOf(key string, want Words, known []string, value func(*Event) string) {
	if want == nil {
		return
	}
	l.c.words(l.path+"."+key, want, known)
	words := make([]string, len(want))
	for i, w := range want {
		if words[i] = w; w == nothing {
			words[i] = ""
		}
	}
	l.add(key, list(want), func(e *Event) bool { return slices.Contains(words, value(e)) }, func(e *Event) string { return show(value(e)) })
}

func (l *leaves) ticket(cond Condition) {
	l.oneOf("status", cond.Status, statuses(), func(e *Event) string { return e.Status })
	l.oneOf("status_before", cond.StatusBefore, statuses(), func(e *Event) string { return e.StatusBefore })
	l.oneOf("episode", cond.Episode, episodes(), func(e *Event) string { return e.Episode })
	l.oneOf("last_author", cond.LastAuthor, authors(), func(e *Event) string { return e.LastAuthor })
	tags := func(e *Event) string { return show(strings.Join(e.Tags, ", ")) }
	if want := l.tags("tags_contain", cond.TagsContain); want != nil {
		l.add("tags_contain", list(want), func(e *Event) bool {
			return !slices.ContainsFunc(want, func(t string) bool { return !slices.Contains(e.Tags, t) })
		}, tags)
	}
	if want := l.tags("tags_lack", cond.TagsLack); want != nil {
		l.add("tags_lack", list(want), func(e *Event) bool {
			return !slices.ContainsFunc(want, func(t string) bool { return slices.Contains(e.Tags, t) })
		}, tags)
	}
	subject := func(e *Event) string { return show(Cut(e.Subject)) }
	l.contains("subject_contains", cond.SubjectContains, func(e *Event) string { e.lower(); return e.lowSubject }, subject)
	l.matches("subject_matches", cond.SubjectMatches, func(e *Event) string { return Cut(e.Subject) }, subject)
	l.truth("name_in_subject", cond.NameInSubject, func(e *Event) bool {
		e.lower()
		return e.Name != "" && strings.Contains(e.lowSubject, strings.ToLower(e.Name))
	})
	l.truth("follow_up", cond.FollowUp, func(e *Event) bool { return e.FollowUp })
}

func (l *leaves) message(cond Condition) {
	text := func(e *Event) string { return show(Cut(e.Text)) }
	l.contains("text_contains", cond.TextContains, func(e *Event) string { e.lower(); return e.lowText }, text)
	l.matches("text_matches", cond.TextMatches, func(e *Event) string { return Cut(e.Text) }, text)
	l.c.intentsOf(l.path+".intent", cond.Intent)
	l.oneOf("intent", cond.Intent, nil, func(e *Event) string { return e.Intent })
	sentiment := func(e *Event) string { return fmt.Sprintf("%.2f", e.Sentiment) }
	if bound := l.bound("sentiment_below", cond.SentimentBelow); bound != nil {
		l.add("sentiment_below", number(*bound), func(e *Event) bool { return e.Sentiment < *bound }, sentiment)
	}
	if bound := l.bound("sentiment_above", cond.SentimentAbove); bound != nil {
		l.add("sentiment_above", number(*bound), func(e *Event) bool { return e.Sentiment > *bound }, sentiment)
	}
	if below, above := cond.SentimentBelow, cond.SentimentAbove; below != nil && above != nil && *above >= *below {
		l.c.add(l.path+".sentiment_above", "nothing is above %s and below %s; make two conditions of it under any, or two rules", number(*above), number(*below))
	}
	l.truth("public_post", cond.PublicPost, func(e *Event) bool { return e.PublicPost })
}

func (l *leaves) rest(cond Condition) {
	l.oneOf("channel", cond.Channel, Channels(), func(e *Event) string { return e.Channel })
	if want := cond.Language; want != nil {
		l.c.languages(l.path+".language", want)
		l.add("language", list(want), func(e *Event) bool {
			return slices.ContainsFunc(want, func(w string) bool { return e.Language == w || strings.HasPrefix(e.Language, w+"-") })
		}, func(e *Event) string { return show(e.Language) })
	}
	for _, field := range []struct {
		name  string
		value func(*Event) string
	}{
		{"name", func(e *Event) string { return e.Name }}, {"address", func(e *Event) string { return e.Address }},
		{"consent", func(e *Event) string { return e.Consent }},
	} {
		if want, ok := cond.Subscriber[field.name]; ok {
			l.field(field.name, want)
			l.add("subscriber."+field.name, list(want), func(e *Event) bool { return fits(field.value(e), want) },
				func(e *Event) string { return show(field.value(e)) })
		}
	}
	for name := range cond.Subscriber {
		l.c.oneOf(l.path+".subscriber."+name, name, []string{"name", "address", "consent"}, "is no field of the subscriber")
	}
	if want := cond.SupportHours; want != "" {
		l.c.oneOf(l.path+".support_hours", want, []string{"open", "closed"}, "is not known")
		open := want == "open"
		l.add("support_hours", want, func(e *Event) bool { return e.SupportOpen == open },
			func(e *Event) string { return map[bool]string{true: "open", false: "closed"}[e.SupportOpen] })
	}
	if cond.Expr != "" {
		test := l.c.expression(l.path+".expr", cond.Expr)
		l.add("expr", cond.Expr, test, func(*Event) string { return "false" })
	}
}

// field checks what a field of the subscriber is compared with. A name or address that is not known is "".
func (l *leaves) field(name string, want Words) {
	path := l.path + ".subscriber." + name
	if len(want) == 0 {
		l.c.words(path, want, nil)
	}
	for i, w := range want {
		if begin, open := strings.CutSuffix(w, "*"); name == "consent" && !(open && slices.ContainsFunc(consents(), func(s string) bool { return strings.HasPrefix(s, begin) })) {
			l.c.oneOf(at("%s[%d]", path, i), w, consents(), "is no consent")
		}
	}
}

// fits tells whether a field is one of the words, a word with * at its end being what it begins with.
func fits(value string, want Words) bool {
	value = strings.ToLower(value)
	return slices.ContainsFunc(want, func(w string) bool {
		w = strings.ToLower(w)
		if begin, ok := strings.CutSuffix(w, "*"); ok {
			return value != "" && strings.HasPrefix(value, begin)
		}
		return value == w
	})
}

func (l *leaves) contains(key string, want Words, low, got func(*Event) string) {
	if want == nil {
		return
	}
	l.c.words(l.path+"."+key, want, nil)
	words := make([]string, len(want))
	for i, w := range want {
		words[i] = strings.ToLower(w)
	}
	l.add(key, list(want), func(e *Event) bool {
		text := low(e)
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}, got)
}

func (l *leaves) matches(key, pattern string, value, got func(*Event) string) {
	if pattern == "" {
		return
	}
	re := l.c.pattern(l.path+"."+key, pattern)
	l.add(key, pattern, func(e *Event) bool { return re.MatchString(value(e)) }, got)
}

func (l *leaves) truth(key string, want *bool, is func(*Event) bool) {
	if want == nil {
		return
	}
	w := *want
	l.add(key, strconv.FormatBool(w), func(e *Event) bool { return is(e) == w }, func(e *Event) string { return strconv.FormatBool(is(e)) })
}

// tags checks tags and gives them as they are compared.
func (l *leaves) tags(key string, want Words) []string {
	if want == nil {
		return nil
	}
	l.c.tags(l.path+"."+key, want)
	low := make([]string, len(want))
	for i, tag := range want {
		low[i] = strings.ToLower(tag)
	}
	return low
}

func (l *leaves) bound(key string, value *float64) *float64 {
	if value != nil && !(*value >= -1 && *value <= 1) { // .nan is neither
		l.c.add(l.path+"."+key, "must be between -1 and 1")
	}
	return value
}

// longestPattern bounds regular expressions; RE2 takes time in proportion to pattern and text.
const longestPattern = 200

func (c *checker) pattern(path, pattern string) *regexp.Regexp {
	if len(pattern) > longestPattern {
		c.add(path, "has %d bytes, at most %d are taken", len(pattern), longestPattern)
		return regexp.MustCompile("^$")
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		c.add(path, `is not a regular expression (RE2): %v; put a \ before a sign that is meant as it stands, e.g. \(`, err)
		return regexp.MustCompile("^$")
	}
	return re
}

func list(words []string) string { return strings.Join(words, ", ") }

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func show(value string) string {
	if value == "" {
		return nothing
	}
	return value
}
