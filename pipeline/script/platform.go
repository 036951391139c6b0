package script

import (
	"fmt"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// platform reports what the messaging platform sent by itself, as the gateway posts it.
func (w *World) platform(c Command) error {
	to := c.arg("to", w.account().Account)
	channel := schemas.ChannelOf(c.arg("channel", w.account().Channel))
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
