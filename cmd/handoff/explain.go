package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/app"
	"github.com/handoff-dev/handoff/pipeline/explain"
	"github.com/handoff-dev/handoff/schemas"
)

// explainCommand tells the story of a conversation.
type explainCommand struct {
	Shop  string `arg:"" help:"The shop."`
	Who   string `arg:"" name:"conversation or address" help:"The person's address, e.g. +14155550123; or one conversation of theirs, <channel>:<account>|<address>, e.g. 'sms:+15557770000|+14155550123'. Quote it for the shell."`
	Since string `placeholder:"WHEN" help:"Only from then: a time (2026-03-02T10:00:00Z) or how long ago (36h)."`
	Until string `placeholder:"WHEN" help:"Only before then, written alike."`
	JSON  bool   `help:"A JSON object a line, for programs."`
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
	now := time.Now()
	since, err := moment("--since", c.Since, now)
	if err != nil {
		return err
	}
	until, err := moment("--until", c.Until, now)
	if err != nil {
		return err
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
	if c.JSON {
		return explain.WriteJSON(os.Stdout, lines)
	}
	zone, err := a.ShopZone(s.ctx, c.Shop)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		fmt.Fprintln(os.Stderr, "Nothing happened in that time.")
	}
	return explain.Write(os.Stdout, lines, zone)
}

// moment reads a time, or how long ago it was; zero for "".
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("%w: %s %q is neither a time like 2026-03-02T10:00:00Z nor a duration like 36h", errUsage, flag, text)
	}
	return at, nil
}
