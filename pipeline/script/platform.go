package script

import (
	"fmt"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/evidence"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// platform reports what the messaging platform sent by itself, as the gateway posts it.
func (w *World) platform(c Command) error {
	to := c.arg("to", w.account().Account)
	channel, err := channelOf(c.arg("channel", w.account().Channel))
	if err != nil {
		return err
	}
	if err := w.knows(channel, c.arg("from", "+14155550001"), to); err != nil {
		return err
	}
	w.serial++
	native := c.arg("id", fmt.Sprintf("send%d", w.serial))
	s := &handoffv1.PlatformSend{NativeId: native, Text: c.Input, Campaign: c.arg("campaign", "")}
	if c.arg("asks", "no") == "yes" {
		s.Question = handoffv1.Question_QUESTION_OTHER
	}
	return w.post(schemas.TopicConsent, &handoffv1.Record{
		Id: schemas.SourceID("platform", w.shop, to, native), Channel: channel, Account: to, Address: c.arg("from", "+14155550001"),
		Conversation: schemas.Conversation(channel, to), Body: &handoffv1.Record_PlatformSend{PlatformSend: s},
	})
}

// toldPlatform keeps what the platform is told of episodes, for "facts platform", and of changes of consent, for
// "facts published".
func (w *World) toldPlatform(e pipeline.Emit) {
	r, err := schemas.Decode(e.Key, e.Value)
	if err != nil {
		w.say("a stage posted a bad record to %s: %v", e.Topic, err)
		return
	}
	f := r.GetFact()
	if c := f.GetConsent(); c != nil {
		w.told["published"] = append(w.told["published"], fmt.Sprintf("%s published: %s is %s, was %s (%s, change %d)",
			f.GetAt().AsTime().Format("15:04:05"), r.GetAddress(), evidence.Status(c.GetStatus()), evidence.Status(c.GetPrior()), c.GetScope(), c.GetVersion()))
	}
	if episode := f.GetEpisode(); episode != nil {
		w.told["platform"] = append(w.told["platform"], fmt.Sprintf("%s platform told: %s of %s is %s",
			f.GetAt().AsTime().Format("15:04:05"), r.GetConversation(), r.GetAddress(), stateName(episode.GetTo())))
	}
}

// asks is the platform's question whether people have a subscriber's conversations now, as the gateway
// answers it.
func (w *World) asks(c Command) error {
	from := c.arg("from", "+14155550001")
	e, ok := w.withPeople[string(schemas.Key{Shop: w.shop, Address: from}.Bytes())]
	if !ok {
		w.say("%s is in no episode", from)
		return nil
	}
	r, err := schemas.Decode(e.Key, e.Value)
	if err != nil {
		return err
	}
	held := r.GetWithPeople().GetConversations()
	if len(held) == 0 {
		w.say("%s is in no episode", from)
	}
	for _, h := range held {
		line := fmt.Sprintf("%s is in episode %d of %s, %s since %s", from, h.GetEpisode(), h.GetConversation(),
			stateName(h.GetState()), h.GetSince().AsTime().Format("15:04:05"))
		if h.GetTicketUrl() != "" {
			line += ", " + h.GetTicketUrl()
		}
		w.say("%s", line)
	}
	return nil
}

// echo is the channel's word that a message left the shop's account: what somebody wrote in the channel's own
// app, or, with text=, one that Handoff sent.
func (w *World) echo(c Command) error {
	to := c.arg("to", w.account().Account)
	channel, err := channelOf(c.arg("channel", w.account().Channel))
	if err != nil {
		return err
	}
	if err := w.knows(channel, c.arg("from", "+14155550001"), to); err != nil {
		return err
	}
	w.serial++
	native := c.arg("id", fmt.Sprintf("echo%d", w.serial))
	if n := c.arg("text", ""); n != "" {
		if err := w.sent(n); err != nil {
			return err
		}
		native = "SMout" + n
	}
	return w.post(schemas.TopicDeliver, &handoffv1.Record{
		Id: schemas.SourceID(w.account().Provider, w.shop, to, "echo/"+native), Channel: channel, Account: to, Address: c.arg("from", "+14155550001"),
		Conversation: schemas.Conversation(channel, to),
		Body:         &handoffv1.Record_ChannelEcho{ChannelEcho: &handoffv1.ChannelEcho{NativeId: native, Text: c.Input, Author: c.arg("name", ""), Media: media(c)}},
	})
}
