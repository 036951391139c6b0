// Package bot asks a shop's automated agent for its next reply over HTTP.
//
// The conversation is posted as JSON to the URL in the shop's settings:
//
//	{"shop": "acme", "conversation": "sms:+15557770000", "channel": "sms",
//	 "address": "+14155550123", "turn": 3, "turn_id": "5f0c…", "locale": "en", "intent": "order_status",
//	 "messages": [{"id": "…", "author": "customer", "name": "Ann", "time": "2026-03-01T12:00:00Z",
//	               "text": "where is my order?", "media": [{"url": "…", "content_type": "image/png"}]}]}
//
// Messages are the last ones of the thread, oldest first, ending with those to
// answer; author is customer, bot, agent, rule, system or platform. The bot
// answers 200 with one of
//
//	{"reply": "It ships today."}
//	{"cannot_answer": true, "reason": "not in my content"}
//
// turn_id, also in X-Handoff-Turn-Id, is the same when the same turn is asked
// again, so a bot that remembers it can answer at once; asking again is harmless
// either way. With a secret in the settings the request is signed:
// X-Handoff-Timestamp is the Unix time in seconds, X-Handoff-Signature is
// "sha256=" and the hex HMAC-SHA256, keyed by the secret, of the timestamp, a
// full stop and the raw body.
//
// A bot that is down, too slow or does not answer as above cannot answer (H11).
package bot

import (
	"time"

	"github.com/handoff-dev/handoff/pipeline/caller/httpcall"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// Name of the connector as a destination.
const Name = "bot"

// Headers of a question.
const (
	TurnHeader      = "X-Handoff-Turn-Id"
	TimestampHeader = httpcall.TimestampHeader
	SignatureHeader = httpcall.SignatureHeader
)

// MaxReply is the longest reply taken, in bytes.
const MaxReply = 16 << 10

// Question is what the bot is asked.
type Question struct {
	Shop         string    `json:"shop"`
	Conversation string    `json:"conversation"`
	Channel      string    `json:"channel"`
	Address      string    `json:"address"`
	Turn         uint64    `json:"turn"`
	TurnID       string    `json:"turn_id"`
	Locale       string    `json:"locale,omitempty"`
	Intent       string    `json:"intent,omitempty"`
	Messages     []Message `json:"messages"`
}

// Message is one message of the thread.
type Message struct {
	ID     string    `json:"id,omitempty"`
	Author string    `json:"author"`
	Name   string    `json:"name,omitempty"`
	Time   time.Time `json:"time"`
	Text   string    `json:"text"`
	Media  []Media   `json:"media,omitempty"`
}

// Media is one attachment.
type Media struct {
	URL         string `json:"url"`
	ContentType string `json:"content_type,omitempty"`
}

// Answer is what the bot says: a reply, or that it cannot answer and why.
type Answer struct {
	Reply        string `json:"reply,omitempty"`
	CannotAnswer bool   `json:"cannot_answer,omitempty"`
	Reason       string `json:"reason,omitempty"`
}

// Sign gives the signature of a question: "sha256=" and the hex HMAC-SHA256 of
// timestamp, a full stop and body.
func Sign(secret, timestamp string, body []byte) string {
	return httpcall.Signature(secret, timestamp, body)
}

// question makes what is posted of a command and its envelope.
func question(r *handoffv1.Record, ask *handoffv1.AskBot, callID string) Question {
	q := Question{
		Shop: r.GetShop(), Conversation: r.GetConversation(), Channel: schemas.ChannelName(r.GetChannel()),
		Address: r.GetAddress(), Turn: ask.GetTurn(), TurnID: callID,
		Locale: ask.GetLanguage(), Intent: ask.GetIntent(), Messages: make([]Message, 0, len(ask.GetMessages())),
	}
	for _, m := range ask.GetMessages() {
		message := Message{
			ID: m.GetId(), Author: author(m.GetAuthor()), Name: m.GetName(), Time: m.GetAt().AsTime(), Text: m.GetText(),
		}
		for _, media := range m.GetMedia() {
			message.Media = append(message.Media, Media{URL: media.GetUrl(), ContentType: media.GetContentType()})
		}
		q.Messages = append(q.Messages, message)
	}
	return q
}

func author(kind handoffv1.AuthorKind) string {
	switch kind {
	case handoffv1.AuthorKind_AUTHOR_KIND_CUSTOMER:
		return "customer"
	case handoffv1.AuthorKind_AUTHOR_KIND_AGENT:
		return "agent"
	case handoffv1.AuthorKind_AUTHOR_KIND_BOT:
		return "bot"
	case handoffv1.AuthorKind_AUTHOR_KIND_RULE:
		return "rule"
	case handoffv1.AuthorKind_AUTHOR_KIND_PLATFORM:
		return "platform"
	case handoffv1.AuthorKind_AUTHOR_KIND_SYSTEM, handoffv1.AuthorKind_AUTHOR_KIND_UNSPECIFIED:
	}
	return "system"
}
