package escalate

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// onPlatformSend takes what the messaging platform sent by itself (H13): it is in the thread, so on the
// open ticket and among the next one's last messages, and what it asks is the last question.
func (c *conversation) onPlatformSend(s *handoffv1.PlatformSend) {
	id := c.t.HexID()
	c.thread.add(&handoffv1.ThreadMessage{
		Id: id, Author: handoffv1.AuthorKind_AUTHOR_KIND_PLATFORM, Name: s.GetCampaign(),
		At: timestamppb.New(c.t.Record.GetEventTime().AsTime()), Text: s.GetText(), Media: s.GetMedia(),
	}, 0)
	asked := &handoffv1.Asked{Question: s.GetQuestion()}
	if s.GetQuestion() != handoffv1.Question_QUESTION_UNSPECIFIED {
		asked.QuestionId, asked.Until = id, s.GetUntil()
	}
	c.sentElsewhere(asked, s.GetText())
	c.t.Fact(c.at, &handoffv1.Fact{Kind: &handoffv1.Fact_Message{Message: &handoffv1.MessageFact{
		MessageId: id, Author: handoffv1.AuthorKind_AUTHOR_KIND_PLATFORM, AuthorName: s.GetCampaign(), Text: s.GetText(),
		MediaCount: uint32(len(s.GetMedia())), Episode: c.liveEpisode(), NativeId: s.GetNativeId(),
	}}})
}
