package sim

import (
	"strings"

	"github.com/handoff-dev/handoff/connectors/twilio"
)

// family of a whole-message keyword, as Twilio knows them without configuration.
func family(body string) twilio.OptOut {
	switch strings.ToUpper(strings.TrimSpace(body)) {
	case "STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT":
		return twilio.OptOutStop
	case "START", "YES", "UNSTOP":
		return twilio.OptOutStart
	case "HELP", "INFO":
		return twilio.OptOutHelp
	default:
		return twilio.OptOutNone
	}
}

// keyword does what Twilio does about an inbound keyword and returns the answer
// it sends by itself, empty for none. YES counts as START only for somebody who
// is blocked, as it answers many other questions. s.mu is held.
func (s *Sim) keyword(m *message) (reply string) {
	if s.cfg.OptOut == OptOutOff {
		return ""
	}
	who := pair{m.From, m.To}
	kind, was := family(m.Body), s.blocked[who]
	switch kind {
	case twilio.OptOutStop:
		s.blocked[who] = true
		if !was {
			reply = "You are unsubscribed from this number and will get no more messages. Reply START to resubscribe."
		}
	case twilio.OptOutStart:
		if !was && strings.EqualFold(strings.TrimSpace(m.Body), "yes") {
			return ""
		}
		delete(s.blocked, who)
		if was {
			reply = "You are subscribed again and will get messages from this number. Reply STOP to end them."
		}
	case twilio.OptOutHelp:
		reply = "Reply STOP to get no more messages."
	case twilio.OptOutNone:
		return ""
	}
	if s.cfg.OptOut == OptOutAdvanced {
		m.OptOutType = kind
	}
	return reply
}

// reply files Twilio's own answer to a keyword; s.mu is held.
func (s *Sim) reply(to *message, body string) {
	m := &message{}
	m.Direction, m.Status = "outbound-reply", twilio.StatusDelivered
	m.From, m.To, m.Body, m.NumSegments = to.To, to.From, body, 1
	m.Sent = to.Sent
	s.add(m)
}

// Blocked tells whether the Sim refuses texts from a number to a customer.
func (s *Sim) Blocked(customer, number string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked[pair{customer, number}]
}
