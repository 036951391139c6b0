package classify

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/htmltext"
	"github.com/handoff-dev/handoff/schemas/statev1"
	"github.com/handoff-dev/handoff/stages/classify/answer"
	"github.com/handoff-dev/handoff/stages/classify/fold"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

// foldedSize is the folded text that fits a reading's own memory: 4 SMS segments and some.
const foldedSize = 1024

// reading is a message on its way through the order of C12.
type reading struct {
	// out is what the message will carry, empty at first.
	out *handoffv1.Classification
	// answer that the words give, to whatever question.
	answer answer.Answer
	// more: a yes or no is followed by more; names: by words that name the handoff and nothing else.
	more, names bool
	// attached: pictures or files came along, so there is more to handle than an answer or thanks.
	attached bool
	// tap: the message is a reaction to another.
	tap bool
	// because is the classifier's rule.
	because string
	// in is what the classifier read.
	in intent.Reading
	// request: what ships found what people ask of a shop; asks: it is sure of it, so that it goes on beside an
	// opt-out (C5).
	request, asks bool
	// unread is why the shop's classifier outside read nothing; "" where it did, or there is none.
	unread string
}

// read reads into r everything that does not depend on what was asked: the keyword, else answer, intent,
// sentiment and language. language is the conversation's so far, sureFrom the confidence from which what the shop's
// classifier outside said counts.
func (s *Stage) read(r *reading, m *handoffv1.CustomerMessage, channel handoffv1.Channel, language string, sureFrom float32) {
	var buf [foldedSize]byte
	text := htmltext.OwnWords(m.GetText()) // without "Sent from my iPhone"
	folded := fold.Append(buf[:0], text)
	r.out.Classifier, r.out.Language = s.classifier.Name(), language
	if m.GetPublicPost() {
		s.readPublic(r, m, folded, sureFrom)
		return
	}
	if s.keyword(r, m, folded, channel) {
		return
	}
	r.answer = s.answers.Find(folded)
	stops := s.onlyStops(folded[r.answer.Rest:], r.answer.Rest)
	agrees := r.answer.Kind == answer.Yes && !r.answer.Weak
	if stops {
		r.answer = answer.Answer{Known: r.answer.Known}
	}
	if channel != handoffv1.Channel_CHANNEL_SMS && s.neverAnswers(folded) { // on SMS it opted out
		s.phoneKeyword(r, folded, text)
		return
	}
	if r.answer.Kind == answer.None && !r.answer.Thanks && s.thanksByName(folded, text, r.answer.Known) {
		r.answer = answer.Answer{Thanks: true, Rest: len(folded)}
	}
	r.in = s.place(folded, text, r.out.GetLanguage())
	switch {
	case stops && agrees && r.in.OptOut == intent.OptOutClear:
		r.in.OptOut = intent.OptOutPossible // "yes stop": which of the two; "no, stop" and "ok, stop" leave no doubt
	case r.in.OptOut == intent.OptOutClear && r.in.WrongNumber && asksForName(folded):
		r.in.OptOut = intent.OptOutPossible
	case r.in.OptOut != intent.OptOutClear && s.stopsNumber(folded):
		r.in.OptOut, r.in.OptOutBy = intent.OptOutPossible, stopAndNumber
	case r.in.OptOut == intent.OptOutNone && s.stopsFirst(folded):
		r.in.OptOut, r.in.OptOutBy = intent.OptOutPossible, stopAndMore
	}
	if s.deniesName(r.in, folded, text) {
		r.in.OptOut, r.in.OptOutBy, r.in.WrongNumber = intent.OptOutClear, deniedName, true
	}
	r.request = isRequest(r.in.Intent) // no classifier outside decides what an opt-out does
	r.asks = r.request && !r.in.Unsure
	r.outside(m.GetOutsideReading(), sureFrom)
	if s.optsOut(r, folded) {
		return
	}
	s.classify(r, m, folded)
}

// phoneKeyword reads a message that opts out by keyword on phones alone. A bare word is nothing here ("cancel", C1,
// C12); several words are plain language, and opt out as such ("please opt me out", C5), but are no intent either.
func (s *Stage) phoneKeyword(r *reading, folded []byte, text string) {
	r.answer = answer.Answer{}
	if bytes.IndexByte(bytes.TrimSpace(folded), ' ') > 0 {
		r.in = s.place(folded, text, r.out.GetLanguage())
		if s.optsOut(r, folded) {
			return
		}
		r.mayOptOut()
	}
	r.out.Unsure = true
}

// stopAndNumber names what stopsNumber takes.
const stopAndNumber = "keyword and a number"

// stopsNumber tells whether a message is a word that opts out on every channel, and a number: "STOP 12345" stops texts,
// or an order.
func (s *Stage) stopsNumber(folded []byte) bool {
	word := bytes.TrimRight(folded, "0123456789 \n")
	return len(word) < len(folded) && s.stopsEverywhere(word)
}

// stopAndMore names what stopsFirst takes.
const stopAndMore = "keyword and more"

// stopsFirst tells whether a message begins with a clause of nothing but a word that opts out on every channel: "STOP.
// Where is my refund?" stops texts, or calls out.
func (s *Stage) stopsFirst(folded []byte) bool {
	word, more, _ := bytes.Cut(folded, []byte{'\n'})
	return len(more) > 0 && s.stopsEverywhere(word)
}

// stopsEverywhere tells whether a word opts out on every channel: few do beside SMS (C1).
func (s *Stage) stopsEverywhere(word []byte) bool {
	return s.keywords.Find(word, handoffv1.Channel_CHANNEL_MESSENGER).Directive == handoffv1.Directive_DIRECTIVE_STOP
}

// readPublic reads what everybody can read: it changes no consent (C1) and answers no question that was asked
// in private, whatever it says.
func (s *Stage) readPublic(r *reading, m *handoffv1.CustomerMessage, folded []byte, sureFrom float32) {
	if s.neverAnswers(folded) {
		r.out.Unsure = true
		return
	}
	if a := s.answers.Find(folded); a.Kind == answer.None {
		r.answer = a
	}
	r.in = s.place(folded, m.GetText(), r.out.GetLanguage())
	r.in.OptOut, r.in.OptOutBy, r.in.WrongNumber = intent.OptOutNone, "", false
	r.outside(m.GetOutsideReading(), sureFrom)
	s.classify(r, m, folded)
}

// place lets the classifier read a message. The one that ships is given the folded text; another one folds
// as it likes.
func (s *Stage) place(folded []byte, text, language string) intent.Reading {
	if s.shipped != nil {
		return s.shipped.ReadFolded(folded, text, language)
	}
	return s.classifier.Read(text, language)
}

// optsOut takes a clear plain-language opt-out for a STOP (C5, C12). A request beside it stays to be
// handled: MoreText, with its intent. What answers a question whole never opts out.
func (s *Stage) optsOut(r *reading, folded []byte) bool {
	if r.in.OptOut != intent.OptOutClear || (r.answer.Kind != answer.None || r.answer.Thanks) && r.answer.Rest == len(folded) {
		return false
	}
	r.out.Directive, r.out.Matched, r.out.Confidence = handoffv1.Directive_DIRECTIVE_STOP, r.in.OptOutBy, 1
	r.out.PlainLanguage, r.out.OptOutBy, r.out.WrongNumber = true, r.in.OptOutBy, r.in.WrongNumber
	r.out.Sentiment, r.answer, r.because = r.in.Sentiment, answer.Answer{}, r.in.OptOutBy
	if r.in.Language != "" {
		r.out.Language = r.in.Language
	}
	if r.request {
		r.out.MoreText = r.asks
		r.out.Intent, r.out.AsksForPerson = r.in.Intent, r.in.AsksForPerson
	}
	return true
}

// isRequest tells whether an intent is something that people ask of a shop.
func isRequest(of string) bool {
	switch of {
	case intent.CancelOrder, intent.ReturnRefund, intent.OrderIssue, intent.OrderStatus, intent.Human:
		return true
	}
	return false
}

// keyword finds the directive of a whole message: opt-out, HELP, START in that order, each by our
// table or by what the provider says it did (C1, C10, C12). A YES that the provider took for an opt-in
// stays a yes here: it answers what was asked last, and consent knows whether it lifts an opt-out (C3).
func (s *Stage) keyword(r *reading, m *handoffv1.CustomerMessage, folded []byte, channel handoffv1.Channel) bool {
	found := s.keywords.Find(folded, channel)
	if found.Language != "" {
		r.out.Language = languageOf(found.Language, r.out.GetLanguage())
	}
	provider := providerDirective(m.GetProviderOptOut())
	for _, d := range []handoffv1.Directive{
		handoffv1.Directive_DIRECTIVE_STOP, handoffv1.Directive_DIRECTIVE_HELP, handoffv1.Directive_DIRECTIVE_START,
	} {
		switch {
		case found.Directive == d:
			r.out.Directive, r.out.Matched, r.out.Confidence = d, found.Keyword, 1
			return true
		case provider == d && (d != handoffv1.Directive_DIRECTIVE_START || s.answers.Find(folded).Kind != answer.Yes):
			r.out.Directive, r.out.Confidence = d, 1
			return true
		}
	}
	return false
}

// languageOf keeps the conversation's language for English keywords, which everyone uses: who begins with STOP has shown
// none, and is answered in the shop's.
func languageOf(keyword, conversation string) string {
	if keyword == "en" {
		return conversation
	}
	return keyword
}

func providerDirective(p handoffv1.ProviderOptOut) handoffv1.Directive {
	switch p {
	case handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_STOP:
		return handoffv1.Directive_DIRECTIVE_STOP
	case handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_START:
		return handoffv1.Directive_DIRECTIVE_START
	case handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_HELP:
		return handoffv1.Directive_DIRECTIVE_HELP
	case handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_UNSPECIFIED:
	}
	return handoffv1.Directive_DIRECTIVE_UNSPECIFIED
}

// neverAnswers tells whether the whole message is a word that opts out elsewhere ("cancel" on a channel
// where only STOP does): alone it is neither an answer nor an intent (C12).
func (s *Stage) neverAnswers(folded []byte) bool {
	return s.keywords.Find(folded, handoffv1.Channel_CHANNEL_SMS).Directive == handoffv1.Directive_DIRECTIVE_STOP
}

// onlyStops tells whether what follows an answer is nothing but such a word: "yes stop" agrees to
// nothing.
func (s *Stage) onlyStops(rest []byte, at int) bool {
	return at > 0 && len(rest) > 0 && s.neverAnswers(bytes.TrimSpace(rest))
}

// thanksByName tells whether a message is thanks and one more word that can only be a name: a given name
// however it is written ("thank you kim 😀"), or one that is written like a name and nothing that the classifier or
// a keyword knows ("Thank you Lars!"). known is how far the message begins with known phrases.
func (s *Stage) thanksByName(folded []byte, text string, known int) bool {
	folded = bytes.TrimRightFunc(folded, ofNoWord)
	at := max(bytes.LastIndexByte(folded, ' '), bytes.LastIndexByte(folded, '\n'))
	if at < 0 || at > known || bytes.ContainsAny(folded[at+1:], "0123456789") || strings.ContainsAny(text, "?？") {
		return false
	}
	text = strings.TrimRightFunc(text, ofNoWord)
	thanks := s.answers.Find(folded[:at])
	if !thanks.Thanks || thanks.Kind != answer.None || thanks.Rest != at {
		return false
	}
	if s.given[string(folded[at+1:])] {
		return true
	}
	name := text[strings.LastIndexFunc(text, unicode.IsSpace)+1:]
	return capitalized(name) && s.unknown(name)
}

// ofNoWord tells of what may stand behind the last word: space, punctuation, emoji.
func ofNoWord(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) }

// capitalized tells whether a word is written as names are: a capital, then a small letter.
func capitalized(word string) bool {
	first, size := utf8.DecodeRuneInString(word)
	second, _ := utf8.DecodeRuneInString(word[size:])
	return unicode.IsUpper(first) && unicode.IsLower(second)
}

// longestNaming is how many spaces the rest of a yes may have and still only name the handoff ("yes,
// please connect me to your team"); what is longer may hold a message as well.
const longestNaming = 8

// classify fills in what the classifier reads. What follows a yes or no is what there is to place; a
// mere answer or thanks needs no placing.
func (s *Stage) classify(r *reading, m *handoffv1.CustomerMessage, folded []byte) {
	in := r.in
	r.because, r.attached = in.Because, len(m.GetMedia()) > 0
	r.out.Sentiment, r.out.AsksForPerson = in.Sentiment, in.AsksForPerson
	if in.Language != "" {
		r.out.Language = in.Language
	}
	if r.answer.Language != "" && (r.answer.Rest == len(folded) || in.Language == "") {
		r.out.Language = r.answer.Language
	}
	whole := r.answer.Rest == len(folded) && (r.answer.Kind != answer.None || r.answer.Thanks)
	if !whole {
		r.mayOptOut()
	}
	switch {
	case whole && r.answer.Thanks && r.answer.Kind == answer.None:
		r.because = ""
		r.out.Intent, r.out.Confidence = intent.Thanks, 1
	case whole:
		r.because = ""
		r.out.Intent, r.out.Confidence = intent.Other, 1
	case len(folded) == 0 && r.attached, in.Unsure:
		r.out.Unsure = true
	default:
		r.out.Intent, r.out.Confidence, r.out.Matched = in.Intent, in.Confidence, in.Because
	}
	if r.answer.Kind != answer.None && !whole {
		rest := s.place(bytes.TrimLeft(folded[r.answer.Rest:], " \n"), string(folded[r.answer.Rest:]), r.out.GetLanguage())
		r.more = true
		r.names = rest.AsksForPerson && rest.Intent == intent.Human && bytes.Count(folded[r.answer.Rest:], []byte(" ")) < longestNaming
		if r.names && r.answer.Kind == answer.Yes {
			r.out.AsksForPerson = true // "yes, the support team please": what stands behind the yes asks for one
		}
	}
}

// mayOptOut has a possible opt-out put before a person (C5).
func (r *reading) mayOptOut() {
	if r.in.OptOut != intent.OptOutPossible {
		return
	}
	r.because = "possible opt-out: " + r.in.OptOutBy
	r.out.PossibleOptOut, r.out.OptOutBy, r.out.WrongNumber = true, r.in.OptOutBy, r.in.WrongNumber
}

// resolve decides what the message answers, by what was asked in its conversation, and tells whether
// that changed the state.
func (r *reading) resolve(c *statev1.ClassifyConversation, received time.Time) bool {
	if r.out.GetDirective() != handoffv1.Directive_DIRECTIVE_UNSPECIFIED {
		return false // a keyword: it answers nothing
	}
	if r.tap {
		return r.resolveTap(c, received)
	}
	last := lastAsked(c, received)
	if last == nil && r.answer.Weak { // "ok", "great, thanks": politeness where nothing was asked
		r.out.ThanksOnly = r.answer.Thanks && !r.attached
		if r.answer.Thanks {
			r.out.Intent = intent.Thanks
		}
		return r.acceptOffer(c, received)
	}
	switch r.answer.Kind {
	case answer.Yes:
		r.out.Directive = handoffv1.Directive_DIRECTIVE_YES
	case answer.No:
		if r.out.GetAsksForPerson() && standingOffer(c, received) != nil {
			return r.acceptOffer(c, received) // "no! get me a person"
		}
		r.out.Directive = handoffv1.Directive_DIRECTIVE_NO
	case answer.None:
		r.out.ThanksOnly = r.answer.Thanks && !r.attached
		return r.acceptOffer(c, received)
	}
	// To the offer "yes, connect me" is all yes; to any other question, and to none, it asks for people besides.
	toOffer := isOffer(last) || last == nil && standingOffer(c, received) != nil
	r.out.MoreText = r.attached || r.more && !(r.names && toOffer)
	if last == nil {
		return r.acceptOffer(c, received)
	}
	r.out.Answers, r.out.QuestionId = last.GetQuestion(), last.GetId()
	answered(c, last)
	return true
}

// resolveTap has a like or dislike of the offer answer it while it stands, whatever was sent after it: it says itself
// what it is about (W11). Every other reaction asks for nothing.
func (r *reading) resolveTap(c *statev1.ClassifyConversation, received time.Time) bool {
	offer := standingOffer(c, received)
	switch {
	case offer == nil || r.answer.Kind == answer.None:
		r.out.ThanksOnly = true
		return false
	case r.answer.Kind == answer.Yes:
		r.out.Directive = handoffv1.Directive_DIRECTIVE_YES
	default:
		r.out.Directive = handoffv1.Directive_DIRECTIVE_NO
	}
	r.out.Answers, r.out.QuestionId = handoffv1.Question_QUESTION_OFFER, offer.GetId()
	answered(c, offer)
	return true
}

// acceptOffer lets words that name the handoff, or ask for a person, confirm an offer that still
// stands, whatever was sent after it (H2).
func (r *reading) acceptOffer(c *statev1.ClassifyConversation, received time.Time) bool {
	if !r.out.GetAsksForPerson() {
		return false
	}
	offer := standingOffer(c, received)
	if offer == nil {
		return false
	}
	r.out.Answers, r.out.QuestionId = handoffv1.Question_QUESTION_OFFER, offer.GetId()
	answered(c, offer)
	return true
}

// guess says of a message that is not placed what it is likeliest, where there is a guess.
func (r *reading) guess() string {
	if !r.in.Unsure || r.in.Intent == "" || r.in.Confidence <= 0 {
		return "not placed"
	}
	return "not placed, likeliest " + r.in.Intent + ", confidence " + strconv.FormatFloat(float64(r.in.Confidence), 'f', 2, 32)
}

// reason says in words why the message was read so, for explanations.
func (r *reading) reason() string {
	switch {
	case r.out.GetDirective() == handoffv1.Directive_DIRECTIVE_STOP,
		r.out.GetDirective() == handoffv1.Directive_DIRECTIVE_START,
		r.out.GetDirective() == handoffv1.Directive_DIRECTIVE_HELP:
		if r.out.GetMatched() == "" {
			return "the provider took it for a keyword"
		}
		if r.because != "" {
			return "plain-language opt-out: " + r.because
		}
		return "keyword " + r.out.GetMatched()
	case r.tap:
		return "a reaction to a message"
	case r.out.GetThanksOnly():
		return "only thanks"
	case r.out.GetUnsure():
		return r.without(r.guess())
	case r.because != "":
		return r.without(r.because)
	}
	return ""
}
