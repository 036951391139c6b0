package classify

import (
	"time"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/htmltext"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

// Look reads one text message as the stage would read it on a phone's channel when asked was asked last,
// and returns besides what the classifier read; a reaction to the offer is one to the default text. It keeps nothing.
func (s *Stage) Look(text string, asked handoffv1.Question) (*handoffv1.Classification, intent.Reading) {
	r := reading{out: &handoffv1.Classification{}}
	if tap, ok := s.taps.in(text); ok {
		s.readReaction(&r, tap, (&settings.Shop{}).Text(settings.TextOffer, ""), "")
	} else {
		s.read(&r, &handoffv1.CustomerMessage{Text: text}, handoffv1.Channel_CHANNEL_SMS, "", 0)
	}
	c := &statev1.ClassifyConversation{}
	if asked != handoffv1.Question_QUESTION_UNSPECIFIED {
		ask(c, &statev1.OpenQuestion{Question: asked, Id: "asked"})
	}
	r.resolve(c, time.Time{})
	if r.out.GetLanguage() == "" { // no conversation to keep the language of: that of the keyword
		r.out.Language = s.keywords.Find(fold.Append(nil, htmltext.OwnWords(text)), handoffv1.Channel_CHANNEL_SMS).Language
	}
	return r.out, r.in
}
