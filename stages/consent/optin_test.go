package consent

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

const doubleOptIn = "consent: {double_opt_in: true}\n"

// answering marks a message as the answer to the opt-in question.
func answering(m *handoffv1.CustomerMessage) {
	m.Classification.Answers = handoffv1.Question_QUESTION_OPT_IN
}

// passed lists the messages of the last step that went to escalate.
func (w *world) passed() []string { return textsOf(w.out[schemas.TopicEscalate]) }

// asked tells whether the last step sent the opt-in question.
func (w *world) asked() bool {
	return slices.ContainsFunc(w.out[schemas.TopicDeliver], func(r *handoffv1.Record) bool {
		return r.GetCommand().GetSendText().GetTextClass() == handoffv1.TextClass_TEXT_CLASS_OPT_IN_QUESTION
	})
}

// TestHeldMessagesKeepTheirTimes: what was held is passed as it came, with the consent of now.
func TestHeldMessagesKeepTheirTimes(t *testing.T) {
	w := newWorld(t, doubleOptIn)
	began := w.now
	w.says(accountA, "hi")
	w.wait(time.Hour)
	w.says(accountA, "YES", answering)
	r := w.out[schemas.TopicEscalate][1]
	if got := r.GetReceivedAt().AsTime(); !got.Equal(began) || r.GetConsent().GetStatus() != handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED {
		t.Errorf("passed as received %v with %v", got, r.GetConsent())
	}
}

// TestAskedTooOften: a person who may not be asked any more is nevertheless not texted: what they write
// is for people.
func TestAskedTooOften(t *testing.T) {
	w := newWorld(t, doubleOptIn)
	for range optInTimes {
		w.says(accountA, "hi")
		w.wait(25 * time.Hour)
	}
	w.set(handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL)
	w.says(accountA, "hi again")
	if w.asked() || len(w.passed()) != 1 || !w.out[schemas.TopicEscalate][0].GetConsent().GetUnanswered() {
		t.Errorf("posted\n%s", w.tell())
	}
}

// TestOptInInAnyOrder: whatever comes in whatever order, a person who has not confirmed is sent nothing
// but the question and answers to keywords; messages cause at most two questions, a day apart; and every
// message is passed on once, in order, at the latest a day after it came.
func TestOptInInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t, doubleOptIn)
		var wrote, got []string
		var questions []time.Time
		subscribed := false
		n := 0
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch what := rapid.SampledFrom([]string{"hi", "hi", "yes", "no", "STOP", "START", "HELP", "reply", "wait"}).Draw(rt, "what"); what {
			case "hi":
				n++
				wrote = append(wrote, fmt.Sprint("hi ", n))
				w.says(accountA, wrote[n-1])
				if w.asked() {
					questions = append(questions, w.now)
				}
			case "yes":
				w.says(accountA, "YES")
				if w.asked() { // it answered nothing, so it was a message
					questions = append(questions, w.now)
				}
				subscribed = subscribed || w.status() == handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED
			case "no":
				w.says(accountA, "no", answering, func(m *handoffv1.CustomerMessage) {
					m.Classification.Directive = handoffv1.Directive_DIRECTIVE_NO
				})
				if w.asked() { // it answered nothing, so it was a message
					questions = append(questions, w.now)
				}
			case "STOP":
				w.says(accountA, what)
				subscribed = false
			case "START":
				w.says(accountA, what)
				subscribed = w.status() == handoffv1.ConsentStatus_CONSENT_STATUS_SUBSCRIBED
			case "HELP":
				w.says(accountA, what)
			case "reply":
				w.agent(accountA, "hello")
				if passes := w.out[schemas.TopicEscalate][0].GetAgentReply() != nil; passes && !subscribed {
					rt.Fatalf("a reply passes to somebody who is %v", w.status())
				}
			case "wait":
				w.waitAndKeep(time.Duration(rapid.IntRange(1, 30).Draw(rt, "hours"))*time.Hour, &got)
				continue
			}
			got = append(got, textsOf(withoutAnswers(w.out[schemas.TopicEscalate]))...)
		}
		w.waitAndKeep(25*time.Hour, &got)
		for i := range questions {
			if i >= optInTimes || i > 0 && questions[i].Sub(questions[i-1]) < optInWait {
				rt.Fatalf("asked at %v", questions)
			}
		}
		if !slices.Equal(got, wrote) {
			rt.Fatalf("passed %v of %v", got, wrote)
		}
	})
}

// withoutAnswers leaves the yes and no out of what was passed.
func withoutAnswers(all []*handoffv1.Record) []*handoffv1.Record {
	return slices.DeleteFunc(all, func(r *handoffv1.Record) bool {
		m := r.GetCustomerMessage().GetText()
		return m == "YES" || m == "no"
	})
}

// status is what counts for accountA.
func (w *world) status() handoffv1.ConsentStatus {
	return w.standing(accountA).GetStatus()
}

// waitAndKeep waits and collects what timers passed on.
func (w *world) waitAndKeep(d time.Duration, got *[]string) {
	end := w.now.Add(d)
	for {
		due := end
		for _, at := range w.timers {
			if at.Before(due) {
				due = at
			}
		}
		w.out = map[string][]*handoffv1.Record{}
		w.wait(due.Sub(w.now))
		*got = append(*got, textsOf(withoutAnswers(w.out[schemas.TopicEscalate]))...)
		if due.Equal(end) {
			return
		}
	}
}

func textsOf(all []*handoffv1.Record) (texts []string) {
	for _, r := range all {
		if m := r.GetCustomerMessage(); m != nil {
			texts = append(texts, m.GetText())
		}
	}
	return texts
}
