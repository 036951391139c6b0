package settings

import "strings"

// TextID names a text that a shop can set per language. The default texts are those of the product's
// behaviour table, exact to the letter; [brackets] are filled in when the text is used.
type TextID string

// Texts to subscribers and notes to agents.
const (
	TextOffer              TextID = "offer"                // H2
	TextResumed            TextID = "resumed"              // H6, off by default
	TextExpiredNote        TextID = "expired_note"         // H7
	TextDeskDown           TextID = "desk_down"            // H11
	TextFailed             TextID = "failed"               // H11
	TextDisclosure         TextID = "disclosure"           // H12
	TextTakenOver          TextID = "taken_over"           // H12, off by default
	TextReturned           TextID = "returned"             // H12, off by default
	TextOutsideHours       TextID = "outside_hours"        // H15
	TextAgentLate          TextID = "agent_late"           // X4
	TextStopConfirmed      TextID = "stop_confirmed"       // C2
	TextStopNote           TextID = "stop_note"            // C2
	TextStartConfirmed     TextID = "start_confirmed"      // C3
	TextHelp               TextID = "help"                 // C4
	TextOptIn              TextID = "opt_in"               // C6
	TextPossibleOptOut     TextID = "possible_opt_out"     // C5
	TextBlockedOptedOut    TextID = "blocked_opted_out"    // C7
	TextBlockedUnconfirmed TextID = "blocked_unconfirmed"  // C7
	TextBlockedNoRecord    TextID = "blocked_no_record"    // C7
	TextOptOutNote         TextID = "optout_note"          // C8
	TextOptOutAlready      TextID = "optout_already"       // C8
	TextOptOutUnconfirmed  TextID = "optout_unconfirmed"   // C8
	TextOptOutNoRecord     TextID = "optout_no_record"     // C8
	TextOptedOutWroteNote  TextID = "opted_out_wrote_note" // C13
	textRuleReceived       TextID = "rule_received"        // R2
	textRuleReopened       TextID = "rule_reopened"        // R2
	textRuleFollowUpNote   TextID = "rule_follow_up_note"  // R2
	TextStoppedNote        TextID = "stopped_note"         // R4
	TextUnconfirmedNote    TextID = "unconfirmed_note"     // C6
	TextBlockedWindow      TextID = "blocked_window"       // W3
)

// defaultTexts are the shipped English texts.
var defaultTexts = map[TextID]string{
	TextOffer:              "Since I'm not able to help with that, do you want me to connect you directly with our support team? They will continue the conversation over text. Please confirm with a yes.",
	TextResumed:            "Our support team has closed this conversation. [bot] is back to help.",
	TextExpiredNote:        "No close within [hours]: [bot] answers again. Your replies are still delivered.",
	TextDeskDown:           "We're having trouble reaching our support team. Your message is saved and they will reply here.",
	TextFailed:             "We couldn't connect you with our support team. Please contact [support contact].",
	TextDisclosure:         "This is [bot], [shop name]'s automated assistant.",
	TextTakenOver:          "You're now connected with our support team.",
	TextReturned:           "[bot] is back to help.",
	TextAgentLate:          "Sorry for the wait, our team will be with you soon.",
	TextOutsideHours:       "Our team is back [day, time].",
	TextStopConfirmed:      "[shop name]: You're unsubscribed and will get no more texts. Reply START to resubscribe.",
	TextStopNote:           "Customer texted [keyword] and is unsubscribed from [channel].",
	TextStartConfirmed:     "[shop name]: You're subscribed. Msg frequency varies. Msg & data rates may apply. Reply HELP for help, STOP to opt out.",
	TextHelp:               "[shop name] support: [support contact]. Msg frequency varies. Msg & data rates may apply. Reply STOP to opt out.",
	TextOptIn:              "[shop name]: Reply YES to get our answer by text. Msg & data rates may apply. Reply HELP for help, STOP to opt out.",
	TextBlockedOptedOut:    "Not sent: the customer opted out on [date].",
	TextBlockedUnconfirmed: "Not sent: the customer never confirmed their subscription.",
	TextBlockedNoRecord:    "Not sent: there is no subscriber record for this address.",
	TextOptOutNote:         "Unsubscribed by #optout. Your reply was not sent.",
	TextOptOutAlready:      "Not changed: the customer is already unsubscribed.",
	TextOptOutUnconfirmed:  "Not changed: the customer never confirmed their subscription.",
	TextOptOutNoRecord:     "Not changed: there is no subscriber record.",
	TextOptedOutWroteNote:  "Opted out on [date]: can't be texted until they send START. Answer another way.",
	TextPossibleOptOut:     "Possible opt-out: reply #optout to confirm",
	TextUnconfirmedNote:    "Asked to confirm and hasn't: can't be texted until they reply YES. Answer another way.",
	TextBlockedWindow:      "Not sent: outside [channel]'s [24-hour] window, the customer last wrote [time].",
	textRuleReceived:       "Got it! We're on it and will text you back here shortly.",
	textRuleReopened:       "Thanks for following up! We've received your message and will get back to you shortly.",
	textRuleFollowUpNote:   "Hi! Just so you know, this could be a follow-up to a recent ticket. It may be worth checking this customer's history.",
	TextStoppedNote:        "Automated replies are stopped for this conversation: [reason]. They start again when its ticket is closed, or when the customer writes something else after [span].",
}

// Default returns the shipped English text; "" for an unknown id.
func (id TextID) Default() string { return defaultTexts[id] }

// ForAgents tells that the text is a note: no customer reads it.
func (id TextID) ForAgents() bool {
	name := string(id)
	return strings.HasSuffix(name, "_note") || strings.HasPrefix(name, "blocked_") || strings.HasPrefix(name, "optout_") || id == TextPossibleOptOut
}

// TextIDs lists every text that can be set.
func TextIDs() []TextID {
	return []TextID{
		TextOffer, TextResumed, TextExpiredNote, TextDeskDown, TextFailed, TextDisclosure, TextOutsideHours,
		TextTakenOver, TextReturned, TextAgentLate,
		TextStopConfirmed, TextStopNote, TextStartConfirmed, TextHelp, TextOptIn,
		TextBlockedOptedOut, TextBlockedUnconfirmed, TextBlockedNoRecord,
		TextOptOutNote, TextOptOutAlready, TextOptOutUnconfirmed, TextOptOutNoRecord, TextOptedOutWroteNote,
		textRuleReceived, textRuleReopened, textRuleFollowUpNote, TextStoppedNote,
		TextBlockedWindow, TextUnconfirmedNote, TextPossibleOptOut,
	}
}
