package intent

// OptOut is whether a message asks in plain language for no more messages (C5), or says that someone else
// is written to (C15).
type OptOut uint8

// Degrees of it.
const (
	// OptOutNone: it does not.
	OptOutNone OptOut = iota
	// OptOutPossible: it may; a person decides.
	OptOutPossible
	// OptOutClear: it does.
	OptOutClear
)
