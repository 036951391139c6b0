// Package classify is the stage that reads what customers write. It alone resolves yes, no, start and
// thanks, because only it knows what was asked last when a message came.
//
// It reads
//   - CustomerMessage, from the gateway: drops one it has seen; else reads directive, answer, intent,
//     sentiment and language in the order of behaviour C12, posts the message with its Classification
//     to consent, and one MessageFact to analytics. There is exactly one such fact per inbound message.
//   - Asked, from escalate and consent: remembers what the text just sent asks. One that asks nothing
//     closes the question before it. From deliver: a text did not leave, or has left after all.
//   - DeadLetterResolved, from `handoff dlq`: passes it on to consent.
//
// State: one ClassifyConversation per conversation. It sets no timers: whether an answer came in time
// is judged by when it was received.
//
// The words are data in the packages below: keyword (STOP, START, HELP), answer (yes, no, thanks). What a
// message is about is read by shipped: a trained model (model reads, train makes, corpus is what it
// learns from, words what words mean) with the rules of rules beside it. fold brings a text to the form
// they all compare.
package classify

import (
	"errors"
	"fmt"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
	"github.com/handoff-dev/handoff/stages/classify/answer"
	"github.com/handoff-dev/handoff/stages/classify/intent"
	"github.com/handoff-dev/handoff/stages/classify/keyword"
	"github.com/handoff-dev/handoff/stages/classify/model"
	"github.com/handoff-dev/handoff/stages/classify/shipped"
	"github.com/handoff-dev/handoff/stages/classify/words"
)

// Config of the stage.
type Config struct {
	// Classifier reads intent, sentiment and language; nil for the one that ships.
	Classifier intent.Classifier
	// Models are the shops' own by the name that the setting classifier.model has, beside the classifier
	// that ships. A shop whose model is not among them is read by what ships, as each reading says.
	Models map[string]*model.Model
}

// Stage is the classify stage. See the package comment for what it reads and posts.
type Stage struct {
	classifier intent.Classifier
	// shipped is the classifier where it is the one that ships.
	shipped  *shipped.Classifier
	keywords *keyword.Table
	answers  *answer.Table
	taps     *taps
	given    map[string]bool // names
	// own are stages like this one that read with a shop's model as well, by the model's name.
	own map[string]*Stage
}

var (
	_ pipeline.Stage          = (*Stage)(nil)
	_ pipeline.FailureHandler = (*Stage)(nil)
)

// New returns the stage, its tables read.
func New(cfg Config) (*Stage, error) {
	s := &Stage{classifier: cfg.Classifier, given: words.GivenNames()}
	var err error
	if s.keywords, err = keyword.Shipped(); err != nil {
		return nil, fmt.Errorf("read consent keywords: %w", err)
	}
	if s.answers, err = answer.Shipped(); err != nil {
		return nil, fmt.Errorf("read answers: %w", err)
	}
	if s.taps, err = parseTaps(shippedReactions); err != nil {
		return nil, fmt.Errorf("read reactions: %w", err)
	}
	if s.classifier == nil {
		if s.classifier, err = shipped.New(); err != nil {
			return nil, fmt.Errorf("read the shipped classifier: %w", err)
		}
	}
	s.shipped, _ = s.classifier.(*shipped.Classifier)
	return s, s.beside(cfg.Models)
}

// beside makes the stages of the shops with models of their own.
func (s *Stage) beside(models map[string]*model.Model) error {
	if len(models) > 0 && s.shipped == nil {
		return errors.New("shops' models need the classifier that ships beside them")
	}
	own := map[string]*Stage{}
	for name, m := range models {
		with, err := s.shipped.With(m)
		if err != nil {
			return fmt.Errorf("model %s: %w", name, err)
		}
		one := *s
		one.shipped, one.classifier = with, with
		own[name] = &one
	}
	s.own = own
	return nil
}

// of returns the stage that reads a shop's messages.
func (s *Stage) of(shop *settings.Shop) *Stage {
	if own := s.own[shop.Classifier.Model]; own != nil {
		return own
	}
	return s
}

// Name returns "classify".
func (s *Stage) Name() string { return schemas.StageClassify }

// Process decides one record; see pipeline.Stage.
func (s *Stage) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	return turn.Process(s, in, st, fx)
}

// Failed shuts the address's texts: the lost record could have been a STOP.
func (s *Stage) Failed(in *pipeline.Input, deadLetter string, _ error, fx *pipeline.Effects) {
	turn.ShutTexts(s.Name(), in, deadLetter, fx)
}

// On decides a turn.
func (s *Stage) On(t *turn.Turn) error {
	if t.Timer != nil {
		return nil // it sets none
	}
	if t.Record.GetDeadLetterResolved() != nil {
		// Behind what came of the lost record: consent may change by it yet.
		t.Forward(schemas.TopicConsent, nil)
		return nil
	}
	if t.Record.GetConversation() == "" {
		return fmt.Errorf("%w: no conversation", schemas.ErrRecord)
	}
	switch body := t.Record.GetBody().(type) {
	case *handoffv1.Record_CustomerMessage:
		s.of(t.Shop).message(t, body.CustomerMessage)
	case *handoffv1.Record_Asked:
		asked(t, body.Asked)
	default:
		return fmt.Errorf("%w: classify does not read %T", schemas.ErrRecord, body)
	}
	return nil
}

// message reads a customer's message and passes it on.
func (s *Stage) message(t *turn.Turn, m *handoffv1.CustomerMessage) {
	if t.Seen() {
		return
	}
	c := turn.Zero[statev1.ClassifyConversation](t)
	name := conversationEntry(t)
	t.Get(name, c)
	fromBefore(c)
	before := c.GetLanguage()
	r := reading{out: turn.Zero[handoffv1.Classification](t)}
	if tap, ok := s.taps.in(m.GetText()); ok {
		s.readReaction(&r, tap, t.Shop.Text(settings.TextOffer, before), before)
	} else {
		s.read(&r, m, t.Record.GetChannel(), before, float32(t.Shop.Classifier.Endpoint.SureFrom))
	}
	came := arrived(c, t.At())
	changed := r.resolve(c, t.At()) || came
	if r.out.GetLanguage() != before {
		c.Language, changed = r.out.GetLanguage(), true
	}
	if changed {
		t.Put(name, c)
	}
	if r.out.GetDirective() == handoffv1.Directive_DIRECTIVE_STOP {
		closeQuestions(t, r.out.GetWrongNumber())
	}
	t.Forward(schemas.TopicConsent, func(out *handoffv1.Record) {
		out.GetCustomerMessage().Classification = r.out
	})
	t.Fact(t.Here(), turn.New(t, handoffv1.Fact{
		Reason: r.reason(),
		Kind: turn.New(t, handoffv1.Fact_Message{Message: turn.New(t, handoffv1.MessageFact{
			MessageId: t.HexID(), Inbound: true,
			Author: handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER, AuthorName: m.GetSenderName(),
			Text: m.GetText(), MediaCount: uint32(len(m.GetMedia())),
			Classification: r.out, NativeId: m.GetNativeId(),
		})}),
	}))
}
