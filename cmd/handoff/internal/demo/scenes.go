package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// scene is one way a conversation can go.
type scene struct {
	name string
	// weight of the scene among all.
	weight int
	play   func(ctx context.Context, c *customer, r *rand.Rand) error
}

// NotForTheCustomer is in every agent's reply that no customer may get.
const NotForTheCustomer = "This one must not reach the customer."

// unlike makes an agent's line unlike all others, so that a doubled one shows.
func (c *customer) unlike(line string) string { return fmt.Sprintf("%s (#%d)", line, c.number) }

// offerWords are in every offer of a handoff.
const offerWords = "connect you directly"

// scenes are what the demo plays.
func scenes() []scene {
	return []scene{
		{"answered by the bot", 4, answeredByBot},
		{"handoff, answered and closed", 5, handoffClosed},
		{"handoff in another language", 2, handoffAbroad},
		{"offer declined", 2, declined},
		{"offer left unanswered", 2, lapsed},
		{"bot cannot answer", 2, botCannot},
		{"STOP while an agent writes", 2, stopDuringTicket},
		{"STOP, START and HELP", 2, keywords},
		{"agent opts the customer out", 1, optOutByAgent},
		{"late reply after time ran out", 2, lateReply},
		{"customer returns after closing", 2, returns},
	}
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func question(r *rand.Rand) string {
	return pick(r, "Where is my order?", "What's the status of my order 4417?", "What are your opening hours?", "What sizes do the trail shoes come in?", "Has my package shipped yet?", "Do you have a discount code for me?")
}

func complaint(r *rand.Rand) string {
	return pick(r, "I want to cancel my order", "I need a refund for these shoes", "My package arrived broken", "I'd like to return the jacket I bought", "You sent me the wrong size", "This is terrible service, I want to complain", "Can I talk to a real person please")
}

func agentLine(r *rand.Rand) string {
	return pick(r, "Hi, this is Kim from support. I'm looking into it.", "Sorry about that! I've issued the refund, you'll see it in 3 days.", "Thanks for your patience, a replacement is on its way.", "I can help with that. Could you send me the order number?")
}

func answeredByBot(ctx context.Context, c *customer, r *rand.Rand) error {
	for range 1 + r.IntN(2) {
		if err := c.say(ctx, question(r)); err != nil {
			return err
		}
		if _, err := c.hear(ctx); err != nil {
			return err
		}
		if err := c.pause(ctx, 2); err != nil {
			return err
		}
	}
	return c.say(ctx, pick(r, "Thanks!", "thank you so much", "Thanks 🙏"))
}

// offered brings the conversation to the offer.
func offered(ctx context.Context, c *customer, text string) error {
	if err := c.say(ctx, text); err != nil {
		return err
	}
	_, err := c.hear(ctx, offerWords)
	if err != nil {
		return err
	}
	return c.pause(ctx, 1)
}

// confirmed brings the conversation to a ticket with one answer of an agent.
func confirmed(ctx context.Context, c *customer, r *rand.Rand, ask, yes string) (deskTicket, error) {
	var none deskTicket
	if err := offered(ctx, c, ask); err != nil {
		return none, err
	}
	if err := c.say(ctx, yes); err != nil {
		return none, err
	}
	t, err := c.ticket(ctx)
	if err != nil {
		return none, err
	}
	if err := c.pause(ctx, 2); err != nil {
		return none, err
	}
	line := c.unlike(agentLine(r))
	if err := c.agent(t, "reply", line); err != nil {
		return none, err
	}
	_, err = c.hear(ctx, line)
	return deskTicket{c, t}, err
}

func handoffClosed(ctx context.Context, c *customer, r *rand.Rand) error {
	t, err := confirmed(ctx, c, r, complaint(r), pick(r, "yes", "Yes please", "yep", "ok please", "👍"))
	if err != nil {
		return err
	}
	if err := c.say(ctx, pick(r, "It's order 4417", "I bought it last week", "ok, how long will that take?")); err != nil {
		return err
	}
	if err := c.pause(ctx, 2); err != nil {
		return err
	}
	line := c.unlike("All done. Anything else, just text us.")
	if err := t.reply(line); err != nil {
		return err
	}
	if _, err := c.hear(ctx, line); err != nil {
		return err
	}
	return t.solve()
}

func handoffAbroad(ctx context.Context, c *customer, r *rand.Rand) error {
	talk := pick(r, [2]string{"Quiero cancelar mi pedido", "sí"}, [2]string{"Je veux un remboursement", "oui"}, [2]string{"Ich möchte meine Bestellung stornieren", "ja"}, [2]string{"Voglio un rimborso", "sì"})
	t, err := confirmed(ctx, c, r, talk[0], talk[1])
	if err != nil {
		return err
	}
	return t.solve()
}

func declined(ctx context.Context, c *customer, r *rand.Rand) error {
	if err := offered(ctx, c, complaint(r)); err != nil {
		return err
	}
	if err := c.say(ctx, pick(r, "no", "No thanks", "nope")); err != nil {
		return err
	}
	if err := c.pause(ctx, 2); err != nil {
		return err
	}
	return c.say(ctx, question(r))
}

func lapsed(ctx context.Context, c *customer, r *rand.Rand) error {
	return offered(ctx, c, complaint(r))
}

func botCannot(ctx context.Context, c *customer, r *rand.Rand) error {
	t, err := confirmed(ctx, c, r, pick(r, "What is the warranty on the carbon poles? (ask a person)", "Which store in Boise has the tent in stock? (ask a person)"), "yes")
	if err != nil {
		return err
	}
	return t.solve()
}

func stopDuringTicket(ctx context.Context, c *customer, r *rand.Rand) error {
	t, err := confirmed(ctx, c, r, complaint(r), "yes")
	if err != nil {
		return err
	}
	if err := c.say(ctx, pick(r, "STOP", "Stop", "UNSUBSCRIBE")); err != nil {
		return err
	}
	if _, err := c.hear(ctx, "unsubscribed"); err != nil {
		return err
	}
	return t.reply(NotForTheCustomer)
}

func keywords(ctx context.Context, c *customer, r *rand.Rand) error {
	talk := []struct{ text, answer string }{
		{question(r), ""}, {"HELP", "support:"}, {"STOP", "unsubscribed"}, {"START", "subscribed"}, {question(r), ""},
	}
	for _, line := range talk {
		if err := c.say(ctx, line.text); err != nil {
			return err
		}
		var err error
		if line.answer == "" {
			_, err = c.hear(ctx)
		} else {
			_, err = c.hear(ctx, line.answer)
		}
		if err != nil {
			return err
		}
		if err := c.pause(ctx, 1); err != nil {
			return err
		}
	}
	return nil
}

func optOutByAgent(ctx context.Context, c *customer, r *rand.Rand) error {
	t, err := confirmed(ctx, c, r, complaint(r), "yes")
	if err != nil {
		return err
	}
	return t.reply(NotForTheCustomer + " #optout")
}

func lateReply(ctx context.Context, c *customer, r *rand.Rand) error {
	t, err := confirmed(ctx, c, r, complaint(r), "yes")
	if err != nil {
		return err
	}
	// The demo's shops give people a few seconds before the bot answers again.
	if err := c.until(ctx, c.patience, func() bool { return t.noted("answers again") }); err != nil {
		return err
	}
	if err := c.say(ctx, question(r)); err != nil {
		return err
	}
	if _, err := c.hear(ctx); err != nil {
		return err
	}
	line := c.unlike("Sorry for the delay, here is the tracking link you asked for.")
	if err := t.reply(line); err != nil {
		return err
	}
	if _, err := c.hear(ctx, line); err != nil {
		return err
	}
	return t.solve()
}

func returns(ctx context.Context, c *customer, r *rand.Rand) error {
	t, err := confirmed(ctx, c, r, complaint(r), "yes")
	if err != nil {
		return err
	}
	if err := t.solve(); err != nil {
		return err
	}
	if err := c.pause(ctx, 4); err != nil {
		return err
	}
	if err := c.say(ctx, question(r)); err != nil {
		return err
	}
	_, err = c.hear(ctx)
	return err
}
