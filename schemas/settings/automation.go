package settings

import (
	"fmt"
	"maps"
	"slices"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/settings/rules"
)

// replySegments is how many SMS segments a rule's reply may take (R2).
const replySegments = 2

func (c *checker) automation(a Automation) {
	for _, n := range []struct {
		path  string
		value int
	}{
		{"actions_per_record", a.ActionsPerRecord}, {"stop_after_texts", a.StopAfterTexts}, {"stop_after_same", a.StopAfterSame},
	} {
		if n.value < 1 || n.value > 100 {
			c.add("automation."+n.path, "must be 1 to 100")
		}
	}
	if a.ReplyEvery < 0 {
		c.add("automation.reply_every", "must not be negative")
	}
	if a.AnswerOnceWithin < 0 {
		c.add("automation.answer_once_within", "must not be negative")
	}
	c.positive("automation.stop_within", a.StopWithin)
	c.positive("automation.resume_after", a.ResumeAfter)
}

// rules compiles the shop's rules and checks what only the shop can tell of them: its texts, and how long
// they become.
func (c *checker) rules(s *Shop) {
	var problems []rules.Problem
	s.compiled, problems = rules.Compile(s.Rules, s.knownIntents())
	for _, p := range problems {
		c.problems = append(c.problems, Problem{Path: p.Path, offset: p.Offset, Reason: p.Reason})
	}
	for _, t := range s.RuleTexts() {
		if t.ID != "" && t.ID.Default() == "" {
			c.noText(t.Path, t.ID)
		}
		if t.ID == "" {
			c.placeholders(t.Path, t.Text, "customer name", "channel")
		}
		if n, _ := schemas.Segments(s.Fill(t.Text)); t.Reply && n > replySegments {
			c.add(t.Path, "takes %d SMS segments, at most %d are sent automatically; shorten it", n, replySegments)
		}
	}
}

// RuleText is a text of a rule, where it stands.
type RuleText struct {
	// Path of it in the settings.
	Path string
	// ID of one of the shop's texts, in whose place Text is "".
	ID   TextID
	Text string
	// Reply tells that it goes to the customer; else it is a note.
	Reply bool
}

// RuleTexts lists what the shop's rules write, in order. One that names a text of the shop's is there with
// the text in each language it is set in.
func (s *Shop) RuleTexts() []RuleText {
	var all []RuleText
	for i, r := range s.Rules {
		for j, a := range r.Then {
			path := fmt.Sprintf("rules[%d].then[%d]", i, j)
			if a.AutoReply != nil {
				all = append(all, s.ruleTexts(path+".auto_reply", a.AutoReply.Text, a.AutoReply.TextID, true)...)
			}
			if a.Note != nil {
				all = append(all, s.ruleTexts(path+".note", a.Note.Text, a.Note.TextID, false)...)
			}
		}
	}
	return all
}

func (s *Shop) ruleTexts(path string, texts rules.Texts, id string, reply bool) []RuleText {
	if id != "" {
		at := RuleText{Path: path + ".text_id", ID: TextID(id), Reply: reply}
		all := []RuleText{at}
		for _, lang := range slices.Sorted(maps.Keys(s.Texts)) {
			if text := s.Texts[lang][TextID(id)]; text != "" {
				at.Text = text
				all = append(all, at)
			}
		}
		return all
	}
	var all []RuleText
	for _, lang := range slices.Sorted(maps.Keys(texts)) {
		where := path + ".text"
		if lang != "" {
			where += "." + lang
		}
		all = append(all, RuleText{Path: where, Text: texts[lang], Reply: reply})
	}
	return all
}

// knownIntents are those that a message of the shop's can have, and none; nil where a model of its own may name others.
func (s *Shop) knownIntents() []string {
	if s.Classifier.Model != "" {
		return nil
	}
	shipped := []string{
		"order_status", "cancel_order", "return_refund", "order_issue", "complaint", "human", "product_question",
		"greeting", "thanks", "spam", "other", "none",
	}
	all := slices.Concat(shipped, s.Handoff.Intents, s.Classifier.Endpoint.Intents)
	slices.Sort(all)
	return slices.Compact(all)
}
