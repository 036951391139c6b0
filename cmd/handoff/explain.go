package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/dlq"
	"github.com/handoff-dev/handoff/pipeline/explain"
	"github.com/handoff-dev/handoff/schemas"
)

// explainCommand tells the story of a conversation.
type explainCommand struct {
	Shop   string `arg:"" help:"The shop."`
	Who    string `arg:"" name:"conversation or address" help:"The person's address, e.g. +14155550123; or one conversation of theirs, <channel>:<account>|<address>, e.g. 'sms:+15557770000|+14155550123'. Quote it for the shell."`
	Since  string `placeholder:"TIME" help:"Only from then: how long ago (90m, 24h, 3d), a day or a moment (UTC)."`
	Until  string `placeholder:"TIME" help:"Only before then, written alike."`
	Format string `default:"text" enum:"text,json" help:"text, or json: a document a line."`
}

// Help says what is read and printed.
func (c *explainCommand) Help() string {
	return "Tells in plain sentences what happened with a person at a shop and why: how each message was read and by which keyword, rule or score, what consent said, why something was offered, handed over, blocked, sent or dropped, by which version of the settings, with links to tickets; in the shop's time and UTC. Messages that no stage has read yet are counted at the end. It is read from the records of consent, escalate, deliver and analytics and the dead letters, committed transactions only, up to where they end when the command starts, and only the person's own partition of each. Mailboxes go back 14 days. Nothing is changed. Texts and addresses are personal data, and are printed."
}

// Run tells it.
func (c *explainCommand) Run(s *session) error {
	address, conversation := c.Who, ""
	if before, after, ok := strings.Cut(c.Who, "|"); ok {
		conversation, address = before, after
		if _, _, err := schemas.ParseConversation(conversation); err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
	}
	key, err := schemas.ParseKey([]byte(c.Shop + "|" + address))
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	now := time.Now().UTC()
	since, err := moment("--since", c.Since, now)
	if err != nil {
		return err
	}
	until, err := moment("--until", c.Until, now)
	if err != nil {
		return err
	}
	if !since.IsZero() && !until.IsZero() && !since.Before(until) {
		return fmt.Errorf("%w: --since must be before --until", errUsage)
	}
	a, err := s.app()
	if err != nil {
		return err
	}
	lines, err := a.Story(s.ctx, key)
	if err != nil {
		return err
	}
	known := app.Conversations(lines)
	switch {
	case len(lines) == 0:
		return fmt.Errorf("nothing is known of %s at %s: there is no record of that address (addresses are written as in E.164, +14155550123; mailboxes go back 14 days)", address, c.Shop)
	case conversation != "" && !slices.Contains(known, conversation):
		return fmt.Errorf("%s at %s has no conversation %s; there are %s", address, c.Shop, conversation, strings.Join(known, ", "))
	}
	lines = slices.DeleteFunc(lines, func(l explain.Line) bool {
		return conversation != "" && l.Conversation != "" && l.Conversation != conversation ||
			!since.IsZero() && l.At.Before(since) || !until.IsZero() && !l.At.Before(until)
	})
	if len(lines) == 0 {
		fmt.Fprintln(os.Stderr, "Nothing happened in that time.")
	}
	if c.Format == "json" {
		return explain.WriteJSON(os.Stdout, lines)
	}
	zone, err := a.ShopZone(s.ctx, c.Shop)
	if err != nil {
		return err
	}
	return explain.Write(os.Stdout, lines, zone)
}

// moment reads a time as flags have it; zero for "".
func moment(flag, text string, now time.Time) (time.Time, error) {
	at, err := dlq.Since(text, now)
	if err != nil {
		return at, fmt.Errorf("%w: %s: %w", errUsage, flag, err)
	}
	return at, nil
}
