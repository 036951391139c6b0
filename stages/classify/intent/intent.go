// Package intent is what a classifier says about a message, and the shape every classifier has: the
// trained model that ships, the rules beside it, and a shop's own.
package intent

// The intents Handoff ships. Shops list those that signal a handoff by these names (H1).
const (
	OrderStatus     = "order_status"
	CancelOrder     = "cancel_order"
	ReturnRefund    = "return_refund"
	OrderIssue      = "order_issue"
	Complaint       = "complaint"
	Human           = "human"
	ProductQuestion = "product_question"
	Greeting        = "greeting"
	Thanks          = "thanks"
	Spam            = "spam"
	// Other is a message that the classifier understands to be about none of the above.
	Other = "other"
)

// All lists the shipped intents in the order in which equal confidence is decided.
func All() []string {
	return []string{Human, CancelOrder, ReturnRefund, OrderIssue, OrderStatus, Complaint, ProductQuestion, Other, Spam, Greeting, Thanks}
}

// Reading is what a classifier read in a message. Its strings are the classifier's own constants, so
// that reading allocates nothing.
type Reading struct {
	// Intent is the best one, a guess when Unsure; "" where there is none.
	Intent string
	// Confidence of the intent, 0 to 1: the share of such readings that are right.
	Confidence float32
	// Unsure: the message could not be placed.
	Unsure bool
	// AsksForPerson: it asks for a human outright, whatever else it says.
	AsksForPerson bool
	// Sentiment from -1, strongly negative, to 1.
	Sentiment float32
	// Language, BCP 47; the hint where the message shows none.
	Language string
	// OutOfScope: it is about none of the intents.
	OutOfScope bool
	// OptOut in plain language; OptOutBy names the rule or score that took it, OptOutScore is the score,
	// above 0 where the model took it for one.
	OptOut      OptOut
	OptOutBy    string
	OptOutScore float32
	// WrongNumber: what opts out, clearly or possibly, says that someone else is written to (C15).
	WrongNumber bool
	// Because names the rule or feature that decided, for explanations; "" when Unsure.
	Because string
}

// Classifier reads intent, sentiment and language of one message. Implementations never change after
// they are made, are used by many goroutines at once, and read no clock.
type Classifier interface {
	// Name with version, recorded with every reading, e.g. "handoff/1".
	Name() string
	// Read reads a text as it was written. language is what the conversation spoke so far, "" when
	// that is not known. It allocates nothing for short ASCII texts.
	Read(text, language string) Reading
}
