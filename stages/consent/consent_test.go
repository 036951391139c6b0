package consent

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

const (
	stopText  = "text: Acme Outdoors: You're unsubscribed and will get no more texts. Reply START to resubscribe."
	startText = "text: Acme Outdoors: You're subscribed. Msg frequency varies. Msg & data rates may apply. Reply HELP for help, STOP to opt out."
	helpText  = "text: Acme Outdoors support: help@acme.example. Msg frequency varies. Msg & data rates may apply. Reply STOP to opt out."
)

func (w *world) read(name string, m proto.Message) bool {
	v, ok := w.entries[name]
	if err := proto.Unmarshal(v, m); err != nil {
		w.t.Fatal(err)
	}
	return ok
}

func (w *world) write(name string, m proto.Message) {
	b, err := proto.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	w.entries[name] = b
}

func TestFirstMessageMakesConversational(t *testing.T) {
	w := newWorld(t, "")
	w.says(accountA, "hi")
	w.want("changed account:sms:+15557770000 v1 conversational allows 5", "passed conversational v1")
	if facts := w.facts(); len(facts) != 1 || facts[0].GetConsent().GetSource() != handoffv1.ConsentSource_CONSENT_SOURCE_FIRST_MESSAGE {
		t.Fatalf("facts are %v, want one first message", facts)
	}
	w.says(accountA, "hi again")
	w.want("passed conversational v1")
}

func TestStop(t *testing.T) {
	t.Run("confirmed once, within five minutes", func(t *testing.T) {
		w := newWorld(t, "")
		w.says(accountA, "hi")
		w.says(accountA, "STOP")
		w.want("changed channel:sms v2 unsubscribed allows 1", stopText,
			`notice OPTED_OUT "STOP" by KEYWORD, unsubscribed was conversational`, "asked nothing")
		c := w.out[schemas.TopicDeliver][1].GetCommand()
		if got := c.GetGiveUpAt().AsTime(); !got.Equal(w.now.Add(5 * time.Minute)) {
			t.Errorf("given up at %v, want five minutes after %v", got, w.now)
		}
		if c.GetSendText().GetTextClass() != handoffv1.TextClass_TEXT_CLASS_KEYWORD_ANSWER {
			t.Errorf("class is %v", c.GetSendText().GetTextClass())
		}
		asked := w.out[schemas.TopicClassify][0].GetAsked()
		if want := schemas.HexID(w.out[schemas.TopicDeliver][1].GetId()); asked.GetQuestionId() != want {
			t.Errorf("asked names %s, want the command %s", asked.GetQuestionId(), want)
		}
		w.wait(time.Minute)
		w.says(accountA, "STOP")
		w.want(`notice OPTED_OUT "STOP" by KEYWORD, unsubscribed was unsubscribed`)
	})
	t.Run("from someone unknown", func(t *testing.T) {
		w := newWorld(t, "")
		w.says(accountA, "STOP")
		w.want("changed channel:sms v1 unsubscribed allows 1", stopText, `notice OPTED_OUT "STOP" by KEYWORD, unsubscribed was unknown`, "asked nothing")
		w.says(accountB, "hello")
		w.want("passed unsubscribed v1")
	})
	t.Run("no confirmation where the account's provider answers", func(t *testing.T) {
		w := newWorld(t, "")
		w.says(accountB, "STOP")
		w.want("changed channel:sms v1 unsubscribed allows 1", `notice OPTED_OUT "STOP" by KEYWORD, unsubscribed was unknown`)
	})
	t.Run("no confirmation where the provider answered this one", func(t *testing.T) {
		w := newWorld(t, "")
		w.says(accountA, "STOP", func(m *handoffv1.CustomerMessage) {
			m.ProviderOptOut = handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_STOP
		})
		w.want("changed channel:sms v1 unsubscribed allows 1", `notice OPTED_OUT "STOP" by KEYWORD, unsubscribed was unknown`)
	})
	t.Run("a word only the provider knows", func(t *testing.T) {
		w := newWorld(t, "")
		w.says(accountA, "Basta", func(m *handoffv1.CustomerMessage) {
			m.Classification.Directive = handoffv1.Directive_DIRECTIVE_STOP
			m.ProviderOptOut = handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_STOP
		})
		w.want("changed channel:sms v1 unsubscribed allows 1", `notice OPTED_OUT "Basta" by PROVIDER, unsubscribed was unknown`)
	})
	t.Run("in the conversation's language", func(t *testing.T) {
		w := newWorld(t, "texts:\n  fr:\n    stop_confirmed: \"[shop name] : désabonné. START pour revenir.\"\n")
		w.says(accountA, "STOP", func(m *handoffv1.CustomerMessage) { m.Classification.Language = "fr" })
		w.want("changed channel:sms v1 unsubscribed allows 1", "text: Acme Outdoors : désabonné. START pour revenir.",
			`notice OPTED_OUT "STOP" by KEYWORD, unsubscribed was unknown`, "asked nothing")
	})
}

func TestStopScopes(t *testing.T) {
	for scope, want := range map[string][3]handoffv1.BlockReason{
		// what an agent's reply meets on the same account, another SMS account, another channel
		"account": {handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT, 0, 0},
		"channel": {handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT, handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT, 0},
		"shop":    {handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT, handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT, handoffv1.BlockReason_BLOCK_REASON_OPTED_OUT},
	} {
		t.Run(scope, func(t *testing.T) {
			w := newWorld(t, "consent: {opt_out_scope: "+scope+"}\n")
			accounts := []string{accountA, accountB, "+15557770002"}
			for _, a := range accounts {
				w.says(a, "hi")
			}
			w.says(accountA, "STOP")
			for i, a := range accounts {
				w.agent(a, "hello")
				var got handoffv1.BlockReason
				if len(w.out[schemas.TopicEscalate]) == 1 {
					got = w.out[schemas.TopicEscalate][0].GetBlockedText().GetReason()
				}
				if got != want[i] {
					t.Errorf("reply from %s meets %v, want %v", a, got, want[i])
				}
			}
			w.says(accountA, "START")
			for _, a := range accounts {
				w.agent(a, "hello")
				if b := w.out[schemas.TopicEscalate][0].GetBlockedText(); b != nil {
					t.Errorf("after START a reply from %s meets %v", a, b.GetReason())
				}
			}
		})
	}
}

func TestWiderStopIsWrittenNarrowerIsNot(t *testing.T) {
	w := newWorld(t, "consent: {opt_out_scope: account}\n")
	w.says(accountA, "STOP")
	w.shop.Consent.OptOutScope = "shop"
	w.says(accountA, "STOP")
	w.want("changed shop v2 unsubscribed allows 1", `notice OPTED_OUT "STOP" by KEYWORD, unsubscribed was unsubscribed`)
	if f := w.facts(); len(f) != 2 || f[0].GetConsent().GetScope() != "shop" || f[1].GetReason() == "" {
		t.Errorf("a wider opt-out, and why it is not confirmed again, are no facts: %v", f)
	}
	w.shop.Consent.OptOutScope = "channel"
	w.says(accountA, "STOP")
	w.want(`notice OPTED_OUT "STOP" by KEYWORD, unsubscribed was unsubscribed`)
}

func TestStartLiftsNoOtherAccountsOptOut(t *testing.T) {
	w := newWorld(t, "consent: {opt_out_scope: account}\n")
	w.says(accountB, "STOP")
	w.shop.Consent.OptOutScope = "channel"
	w.says(accountA, "START")
	w.want("changed account:sms:+15557770000 v2 subscribed allows 5", startText, `notice OPTED_IN "START" by KEYWORD, subscribed was unknown`, "asked nothing")
	w.agent(accountB, "hello")
	w.want(`blocked OPTED_OUT "hello"`)
}

func TestStart(t *testing.T) {
	w := newWorld(t, "")
	w.says(accountA, "STOP")
	w.says(accountA, "START")
	w.want("changed channel:sms v2 subscribed allows 5", startText, `notice OPTED_IN "START" by KEYWORD, subscribed was unsubscribed`, "asked nothing")
	w.says(accountA, "START")
	w.want(startText, "asked nothing")
	w.says(accountB, "START")
	w.want()
	w.says(accountA, "STOP")
	w.says(accountA, "START", func(m *handoffv1.CustomerMessage) {
		m.ProviderOptOut = handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_START
	})
	w.want("changed channel:sms v4 subscribed allows 5", `notice OPTED_IN "START" by KEYWORD, subscribed was unsubscribed`)
}

func TestYes(t *testing.T) {
	answers := func(q handoffv1.Question, more bool) func(*handoffv1.CustomerMessage) {
		return func(m *handoffv1.CustomerMessage) { m.Classification.Answers, m.Classification.MoreText = q, more }
	}
	optIn := handoffv1.ProviderOptOut_PROVIDER_OPT_OUT_START
	for _, c := range []struct {
		name   string
		status handoffv1.ConsentStatus
		change func(*handoffv1.CustomerMessage)
		want   []string
	}{
		{"alone from pending", handoffv1.ConsentStatus_CONSENT_STATUS_PENDING, answers(0, false),
			[]string{"changed channel:sms v2 subscribed allows 5", startText, `notice OPTED_IN "YES" by OPT_IN_ANSWER, subscribed was pending`, "asked nothing"}},
		{"with more text from pending answers nothing", handoffv1.ConsentStatus_CONSENT_STATUS_PENDING, answers(0, true), []string{"passed pending v1"}},
		{"to the opt-in question with more text", handoffv1.ConsentStatus_CONSENT_STATUS_PENDING, answers(handoffv1.Question_QUESTION_OPT_IN, true),
			[]string{"changed channel:sms v2 subscribed allows 5", startText, `notice OPTED_IN "YES" by OPT_IN_ANSWER, subscribed was pending`, "passed subscribed v2", "asked nothing"}},
		{"to the offer from pending", handoffv1.ConsentStatus_CONSENT_STATUS_PENDING, answers(handoffv1.Question_QUESTION_OFFER, false), []string{"passed pending v1"}},
		{"alone from unsubscribed", handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED, answers(0, false), []string{"passed unsubscribed v1"}},
		{"to the opt-in question from unsubscribed", handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED, answers(handoffv1.Question_QUESTION_OPT_IN, false), []string{"passed unsubscribed v1"}},
		{"from unsubscribed, and the provider opted in", handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED, func(m *handoffv1.CustomerMessage) { m.ProviderOptOut = optIn },
			[]string{"changed channel:sms v2 subscribed allows 5", `notice OPTED_IN "YES" by PROVIDER, subscribed was unsubscribed`}},
		{"to the offer, which the provider took for an opt-in", handoffv1.ConsentStatus_CONSENT_STATUS_CONVERSATIONAL, func(m *handoffv1.CustomerMessage) {
			m.ProviderOptOut = optIn
			m.Classification.Answers = handoffv1.Question_QUESTION_OFFER
		}, []string{"passed conversational v1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "")
			w.set(c.status)
			w.says(accountA, "YES", c.change)
			w.want(c.want...)
		})
	}
}

func TestHelp(t *testing.T) {
	w := newWorld(t, "")
	w.says(accountA, "HELP")
	w.want(helpText, `notice HELP "HELP" by KEYWORD, unknown was unknown`, "asked nothing")
	w.says(accountA, "STOP")
	w.says(accountA, "HELP")
	w.want(helpText, `notice HELP "HELP" by KEYWORD, unsubscribed was unsubscribed`, "asked nothing")
	w.says(accountB, "HELP")
	w.want(`notice HELP "HELP" by KEYWORD, unsubscribed was unsubscribed`)
}

func TestProviderOptOut(t *testing.T) {
	w := newWorld(t, "")
	w.says(accountA, "hi")
	report := func(out bool) {
		r := w.record(accountA, func(r *handoffv1.Record) {
			r.Body = &handoffv1.Record_Receipt{Receipt: &handoffv1.Receipt{Outcome: &handoffv1.Outcome{Code: "21610", Meaning: "opted out", ProviderOptedOut: out}}}
		})
		if err := w.step(r); err != nil {
			t.Fatal(err)
		}
	}
	report(false)
	w.want()
	report(true)
	w.want("changed channel:sms v2 unsubscribed allows 1", `notice OPTED_OUT "" by PROVIDER, unsubscribed was conversational`)
	report(true)
	w.want(`notice OPTED_OUT "" by PROVIDER, unsubscribed was unsubscribed`)
}

func TestGate(t *testing.T) {
	closed := handoffv1.TicketStatus_TICKET_STATUS_CLOSED
	solved := handoffv1.TicketStatus_TICKET_STATUS_SOLVED
	for _, c := range []struct {
		name, settings string
		before         func(*world)
		want           string // what agent and bot meet
	}{
		{"unknown", "", func(*world) {}, "NO_RECORD"},
		{"pending", "", func(w *world) { w.set(handoffv1.ConsentStatus_CONSENT_STATUS_PENDING) }, "NEVER_CONFIRMED"},
		{"subscribed", "", func(w *world) { w.says(accountA, "START"); w.wait(1000 * time.Hour) }, ""},
		{"unsubscribed", "", func(w *world) { w.says(accountA, "STOP") }, "OPTED_OUT"},
		{"wrote six days ago", "", func(w *world) { w.says(accountA, "hi"); w.ticket(closed); w.wait(6 * 24 * time.Hour) }, ""},
		{"wrote exactly seven days ago", "", func(w *world) { w.says(accountA, "hi"); w.ticket(closed); w.wait(7 * 24 * time.Hour) }, ""},
		{"wrote over seven days ago", "", func(w *world) { w.says(accountA, "hi"); w.ticket(solved); w.wait(7*24*time.Hour + time.Millisecond) }, "NEVER_CONFIRMED"},
		{"wrote long ago elsewhere", "", func(w *world) {
			w.says(accountA, "hi")
			w.ticket(solved)
			w.wait(8 * 24 * time.Hour)
			w.says(accountB, "hi")
		}, "NEVER_CONFIRMED"},
		{"the shop's own time", "consent: {conversational_for: 1h}\n", func(w *world) { w.says(accountA, "hi"); w.ticket(closed); w.wait(2 * time.Hour) }, "NEVER_CONFIRMED"},
		{"HELP counts as a message", "", func(w *world) {
			w.says(accountA, "hi")
			w.ticket(closed)
			w.wait(6 * 24 * time.Hour)
			w.says(accountA, "HELP")
			w.wait(6 * 24 * time.Hour)
		}, ""},
		{"subscription required", "consent: {reply_requires: subscription}\n", func(w *world) { w.says(accountA, "hi") }, "NEVER_CONFIRMED"},
		{"subscription required and there", "consent: {reply_requires: subscription}\n", func(w *world) { w.says(accountA, "START") }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.settings)
			c.before(w)
			for _, send := range []func(){func() { w.agent(accountA, "hello") }, func() { w.bot(accountA, "hello") }} {
				send()
				got := w.tell()
				if c.want == "" && !strings.HasPrefix(got, "passed ") || c.want != "" && got != fmt.Sprintf("blocked %s %q\n", c.want, "hello") {
					t.Errorf("posted %q, want %q", got, c.want)
				}
				if facts := w.facts(); c.want != "" && (len(facts) != 1 || facts[0].GetDelivery().GetStatus() != handoffv1.OutcomeStatus_OUTCOME_STATUS_REFUSED) {
					t.Errorf("facts of a blocked text are %v", facts)
				}
			}
			w.bot(accountA, "")
			if got := w.tell(); !strings.HasPrefix(got, "passed ") {
				t.Errorf("the bot's cannot answer is kept back: %q", got)
			}
		})
	}
}

func TestOpenTicketHoldsTheGateOpen(t *testing.T) {
	w := newWorld(t, "")
	w.says(accountA, "hi")
	w.wait(30 * 24 * time.Hour)
	w.agent(accountA, "still on it")
	w.want("passed conversational v1")
	w.ticket(handoffv1.TicketStatus_TICKET_STATUS_SOLVED)
	w.want("passed conversational v1")
	w.agent(accountA, "one more thing")
	w.want(`blocked NEVER_CONFIRMED "one more thing"`)
	w.ticket(handoffv1.TicketStatus_TICKET_STATUS_UNSPECIFIED)
	w.agent(accountA, "after an assignment")
	w.want(`blocked NEVER_CONFIRMED "after an assignment"`)
	w.ticket(handoffv1.TicketStatus_TICKET_STATUS_ON_HOLD)
	w.agent(accountA, "reopened")
	w.want("passed conversational v1")
}

func TestAnswerAfterStop(t *testing.T) {
	w := newWorld(t, "handoff: {answer_after_stop: true}\n")
	w.says(accountA, "STOP")
	since := w.now
	w.wait(time.Hour)
	w.agent(accountA, "are you sure?")
	w.want(`blocked OPTED_OUT "are you sure?"`)
	w.says(accountA, "where is my order")
	w.want("changed account:sms:+15557770000 v2 unsubscribed allows 2", "passed unsubscribed v2")
	if got := w.out[schemas.TopicEscalate][0].GetConsent().GetSince().AsTime(); !got.Equal(since) {
		t.Errorf("opted out since %v, want %v", got, since)
	}
	w.agent(accountA, "on its way")
	w.want("passed unsubscribed v2")
	w.bot(accountA, "on its way")
	w.want(`blocked OPTED_OUT "on its way"`)
	w.agent(accountB, "on its way")
	w.want(`blocked OPTED_OUT "on its way"`)
	w.wait(24 * time.Hour)
	w.agent(accountA, "just in time")
	w.want("passed unsubscribed v2")
	w.wait(time.Second)
	w.want("changed account:sms:+15557770000 v3 unsubscribed allows 1")
	w.agent(accountA, "late")
	w.want(`blocked OPTED_OUT "late"`)
	w.says(accountA, "anyone?")
	w.says(accountA, "STOP")
	w.want("changed channel:sms v5 unsubscribed allows 1", `notice OPTED_OUT "STOP" by KEYWORD, unsubscribed was unsubscribed`)
	w.wait(48 * time.Hour)
	w.says(accountA, "START")
	w.agent(accountA, "welcome back")
	w.want("passed subscribed v6")
}

func TestAnswerAfterStopIsOffByDefault(t *testing.T) {
	w := newWorld(t, "")
	w.says(accountA, "STOP")
	w.says(accountA, "where is my order")
	w.want("passed unsubscribed v1")
	w.agent(accountA, "on its way")
	w.want(`blocked OPTED_OUT "on its way"`)
}

func TestOptOutTag(t *testing.T) {
	for text, want := range map[string]string{
		"#optout":                          "#optout",
		"Please #OptOut them":              "#OptOut",
		"done.\n#OPT-OUT":                  "#OPT-OUT",
		"(#optout)":                        "#optout",
		"#optout.":                         "#optout",
		"ok,#opt-out!":                     "#opt-out",
		"＃optout":                          "＃optout",
		"＃ＯｐｔＯｕｔ":                          "＃ＯｐｔＯｕｔ",
		"＃ｏｐｔ－ｏｕｔ。":                        "＃ｏｐｔ－ｏｕｔ",
		"＃ｏｐｔｏｕｔｓ":                         "",
		"#opt‑out":                         "#opt‑out",
		"了解#optout":                        "#optout",
		"#optouts":                         "",
		"#optout2":                         "",
		"#opt-out-now":                     "",
		"x#optout":                         "",
		"##optout":                         "",
		"https://acme.example/page#optout": "",
		"https://acme.example/#optout":     "",
		"https://acme.example/?#optout":    "",
		"at https://acme.example. #optout": "#optout",
		"optout":                           "",
		"# optout":                         "",
		"#opt out":                         "",
		"> #optout\nno":                    "",
		"  > earlier #optout":              "",
		"> earlier\n#optout":               "#optout",
		"#opt":                             "",
		"":                                 "",
		"#optouté":                         "",
		"#optout #optout":                  "#optout",
		"#optouts, I mean #optout":         "#optout",
	} {
		if got := optOutTag(text); got != want {
			t.Errorf("optOutTag(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzOptOutTag(f *testing.F) {
	for _, s := range []string{"#optout", "＃opt-out", "> #optout", "#\xff", "#opt‑out"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if tag := optOutTag(text); tag != "" && !strings.Contains(text, tag) {
			t.Fatalf("the tag %q is not in %q", tag, text)
		}
	})
}

func TestOptOutByAgent(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(*world)
		want   []string
	}{
		{"conversational", func(w *world) { w.says(accountA, "hi") },
			[]string{"changed channel:sms v2 unsubscribed allows 1", `notice OPTED_OUT "#optout" by AGENT, unsubscribed was conversational`}},
		{"unsubscribed", func(w *world) { w.says(accountA, "STOP") }, []string{`notice OPT_OUT_REFUSED "#optout" by AGENT, unsubscribed was unsubscribed`}},
		{"pending", func(w *world) { w.set(handoffv1.ConsentStatus_CONSENT_STATUS_PENDING) }, []string{`notice OPT_OUT_REFUSED "#optout" by AGENT, pending was pending`}},
		{"unknown", func(*world) {}, []string{`notice OPT_OUT_REFUSED "#optout" by AGENT, unknown was unknown`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "")
			c.before(w)
			w.agent(accountA, "they asked #optout")
			w.want(c.want...)
			if n := w.out[schemas.TopicEscalate][0].GetConsentNotice(); n.GetTicketId() != "1" || n.GetText() != "they asked #optout" {
				t.Errorf("the notice names ticket %q and text %q", n.GetTicketId(), n.GetText())
			}
		})
	}
}

func TestRepeatsAreDropped(t *testing.T) {
	w := newWorld(t, "")
	w.says(accountA, "hi")
	bodies := []func(*handoffv1.Record){
		func(r *handoffv1.Record) {
			r.Body = &handoffv1.Record_AgentReply{AgentReply: &handoffv1.AgentReply{TicketId: "1", Text: "a"}}
		},
		func(r *handoffv1.Record) {
			r.Body = &handoffv1.Record_BotReply{BotReply: &handoffv1.BotReply{Text: "b"}}
		},
		func(r *handoffv1.Record) {
			r.Body = &handoffv1.Record_TicketEvent{TicketEvent: &handoffv1.TicketEvent{TicketId: "1"}}
		},
	}
	for _, set := range bodies {
		r := w.record(accountA, set)
		for i, want := range []int{1, 0} {
			if err := w.step(r); err != nil {
				t.Fatal(err)
			}
			if got := len(w.out[schemas.TopicEscalate]); got != want {
				t.Errorf("time %d of %T passes %d records, want %d", i, r.GetBody(), got, want)
			}
		}
	}
}

func TestRefusesWhatItDoesNotRead(t *testing.T) {
	w := newWorld(t, "")
	for name, r := range map[string]*handoffv1.Record{
		"a hold":          w.record(accountA, func(r *handoffv1.Record) { r.Body = &handoffv1.Record_Hold{Hold: &handoffv1.Hold{}} }),
		"no conversation": w.record(accountA, func(r *handoffv1.Record) { r.Conversation, r.Body = "", &handoffv1.Record_Receipt{} }),
	} {
		if name == "no conversation" {
			r.Body = &handoffv1.Record_Receipt{Receipt: &handoffv1.Receipt{}}
		}
		if err := w.step(r); !errors.Is(err, schemas.ErrRecord) {
			t.Errorf("%s gives %v, want a bad record", name, err)
		}
	}
}

func TestFailedShutsTexts(t *testing.T) {
	w := newWorld(t, "")
	for _, c := range []struct {
		key  string
		want int
	}{{"acme|" + customer, 1}, {"nokey", 0}} {
		var fx pipeline.Effects
		in := &pipeline.Input{Key: []byte(c.key), Now: w.now, Settings: w, Record: &pipeline.Record{Key: []byte(c.key), Value: []byte("garbage")}}
		w.stage.Failed(in, "handoff.consent/3/17", errors.New("cannot decode"), &fx)
		w.out = map[string][]*handoffv1.Record{}
		w.apply(&fx)
		if len(w.out[schemas.TopicDeliver]) != c.want {
			t.Fatalf("key %q posts %d records, want %d", c.key, len(w.out[schemas.TopicDeliver]), c.want)
		}
		if c.want == 1 {
			g := w.out[schemas.TopicDeliver][0].GetTextGate()
			if !g.GetShut() || g.GetDeadLetter() != "handoff.consent/3/17" {
				t.Errorf("gate is %v", g)
			}
		}
	}
}

// model is what may be sent, kept as simply as it can be told: the last keyword that covers an account.
func TestNothingPassesAfterAnOptOut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		scope := rapid.SampledFrom([]string{"account", "channel", "shop"}).Draw(rt, "scope")
		w := newWorld(t, "consent: {opt_out_scope: "+scope+"}\n")
		accounts := []string{accountA, accountB, "+15557770002"}
		out := map[string]bool{}
		lines := map[string]string{}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			at := rapid.SampledFrom(accounts).Draw(rt, "account")
			covered := []string{at}
			switch {
			case scope == "shop":
				covered = accounts
			case scope == "channel" && at != accounts[2]:
				covered = accounts[:2]
			}
			switch what := rapid.SampledFrom([]string{"STOP", "START", "hi", "HELP", "YES", "#optout", "reply", "bot"}).Draw(rt, "what"); what {
			case "STOP":
				w.says(at, what)
				for _, a := range covered {
					out[a] = true
				}
			case "START":
				w.says(at, what)
				for _, a := range covered {
					out[a] = false
				}
			case "#optout":
				was := w.knows(at)
				w.agent(at, "#optout")
				for _, a := range covered {
					out[a] = out[a] || was
				}
			case "reply", "bot":
				if what == "bot" {
					w.bot(at, "hello")
				} else {
					w.agent(at, "hello")
				}
				for _, r := range w.out[schemas.TopicEscalate] {
					if out[at] && r.GetBlockedText() == nil {
						rt.Fatalf("a text passes to %s after an opt-out", at)
					}
				}
			default:
				w.says(at, what)
			}
			w.ledgerGrows(rt, lines)
		}
	})
}

// knows tells whether an account's consent is one that #optout can end.
func (w *world) knows(account string) bool {
	w.agent(account, "peek")
	for _, r := range w.out[schemas.TopicEscalate] {
		if r.GetBlockedText() == nil {
			return true
		}
	}
	return false
}

// ledgerGrows checks that lines are only added, numbered without a gap.
func (w *world) ledgerGrows(t *rapid.T, lines map[string]string) {
	for name, was := range lines {
		if string(w.entries[name]) != was {
			t.Fatalf("ledger line %s was altered", name)
		}
	}
	head, n := &statev1.LedgerHead{}, uint64(0)
	w.read(headEntry, head)
	for name, v := range w.entries {
		if strings.HasPrefix(name, linePrefix) {
			lines[name] = string(v)
			n++
		}
	}
	if n != head.GetVersion() {
		t.Fatalf("%d ledger lines, head says %d", n, head.GetVersion())
	}
}
