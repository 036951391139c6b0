// Package deadletter names what the records of schemas.TopicDeadLetters carry beside the failed record:
// why it failed, where it came from, and what became of it.
package deadletter

// ResolverID is the transactional id of everyone who resolves dead letters: a second one fences the first,
// and reads what the first has committed.
const ResolverID = "handoff-dead-letters"

// Headers of dead letters. Key, value and timestamp of the record are the failed one's own.
const (
	// HeaderReason is the error.
	HeaderReason = "handoff-reason"
	// HeaderStage that could not process it.
	HeaderStage = "handoff-stage"
	// HeaderTopic, HeaderPartition and HeaderOffset are where it was read.
	HeaderTopic     = "handoff-topic"
	HeaderPartition = "handoff-partition"
	HeaderOffset    = "handoff-offset"
	// HeaderTimestamp is its Kafka timestamp, Unix milliseconds; HeaderFailed when it failed.
	HeaderTimestamp = "handoff-timestamp"
	HeaderFailed    = "handoff-failed"
	// HeaderTimer is the timer's name, where a timer failed.
	HeaderTimer = "handoff-timer"
	// HeaderTruncated is the value's full length, where it did not fit.
	HeaderTruncated = "handoff-truncated"
)

// Headers of resolutions: records in the dead letters' topic that say what became of one. Key and
// partition are the dead letter's.
const (
	// HeaderResolves is the dead letter's place, "<partition>/<offset>" in the dead letters' topic.
	HeaderResolves = "handoff-resolves"
	// HeaderResolution is "replayed" or "dropped".
	HeaderResolution = "handoff-resolution"
	// HeaderBy and HeaderWhy say who did it, and why.
	HeaderBy  = "handoff-by"
	HeaderWhy = "handoff-why"
	// HeaderReplay is on a record that was put back into its mailbox: the place of its dead letter.
	HeaderReplay = "handoff-replay"
)

// How a dead letter was resolved.
const (
	Replayed = "replayed"
	Dropped  = "dropped"
)
