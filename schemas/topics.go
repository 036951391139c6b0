package schemas

import (
	"fmt"
	"time"
)

// Stage names; mailboxes and consumer groups are named after them.
const (
	StageClassify  = "classify"
	StageConsent   = "consent"
	StageEscalate  = "escalate"
	StageDeliver   = "deliver"
	StageAnalytics = "analytics"
)

// Topic names.
const (
	TopicClassify    = "handoff.classify"
	TopicConsent     = "handoff.consent"
	TopicEscalate    = "handoff.escalate"
	TopicDeliver     = "handoff.deliver"
	TopicAnalytics   = "handoff.analytics"
	TopicSettings    = "handoff.settings"
	TopicDeadLetters = "handoff.dead-letters"
	// TopicPlatform is for the messaging platform to read.
	TopicPlatform = "handoff.platform"
	// TopicEpisodes is a table: who is in an episode now.
	TopicEpisodes = "handoff.episodes"
)

// Defaults of a deployment. A topic's partition count is fixed at creation.
const (
	// DefaultPartitions of a mailbox and its changelog.
	DefaultPartitions = 64
	// DemoPartitions of the same in demo, dev and tests.
	DemoPartitions = 8
	// AnalyticsPartitions is few: the sink inserts once per partition and batch.
	AnalyticsPartitions = 4
	// MailboxRetention is how long mailboxes keep records.
	MailboxRetention = 14 * 24 * time.Hour
	// ChangelogTombstones is how long deletions stay readable in changelogs; a local state older than
	// half of it is rebuilt.
	ChangelogTombstones = 7 * 24 * time.Hour
	// MaxRecordBytes is the largest record produced; larger ones become dead letters.
	MaxRecordBytes = 1 << 20
	// Partitioner of record keys: Kafka's default, murmur2 of the key, masked positive, modulo the
	// partition count. Every producer must use it.
	Partitioner = "murmur2"
)

// Cleanup is a topic's cleanup policy.
type Cleanup string

// Cleanup policies.
const (
	CleanupDelete  Cleanup = "delete"
	CleanupCompact Cleanup = "compact"
)

// Topic is one topic of the catalogue.
type Topic struct {
	// Name of the topic.
	Name string
	// Key says what records are keyed by.
	Key string
	// Holds says what is in it.
	Holds string
	// Partitions, fixed at creation.
	Partitions int
	// Cleanup policy.
	Cleanup Cleanup
	// Retention of deleted topics.
	Retention time.Duration
	// Tombstones is delete.retention.ms of compacted topics.
	Tombstones time.Duration
	// MaxBytes is max.message.bytes.
	MaxBytes int
}

// Mailbox returns the topic that a stage reads.
func Mailbox(stage string) string { return "handoff." + stage }

// Changelog returns the topic that a stage's state is kept in.
func Changelog(stage string) string { return "handoff." + stage + ".changelog" }

// Topics returns the catalogue for mailboxes of that many partitions (see DefaultPartitions).
func Topics(partitions int) []Topic {
	var all []Topic
	mailbox := func(stage, holds string, n int) {
		all = append(all,
			Topic{Name: Mailbox(stage), Key: "shop|address", Holds: holds, Partitions: n, Cleanup: CleanupDelete, Retention: MailboxRetention, MaxBytes: MaxRecordBytes + MaxRecordBytes/4},
			Topic{Name: Changelog(stage), Key: "entry of " + stage + "'s state", Holds: "state of " + stage, Partitions: n, Cleanup: CleanupCompact, Tombstones: ChangelogTombstones, MaxBytes: MaxRecordBytes + MaxRecordBytes/4})
	}
	mailbox(StageClassify, "customer messages; what subscribers were asked", partitions)
	mailbox(StageConsent, "classified messages; what desks and bots say", partitions)
	mailbox(StageEscalate, "messages, replies and events with consent's stamp; receipts", partitions)
	mailbox(StageDeliver, "commands; consent changes and holds; call results", partitions)
	mailbox(StageAnalytics, "facts; also the data team's event log", AnalyticsPartitions)
	return append(all,
		Topic{Name: TopicSettings, Key: "shop|version and shop|current", Holds: "shop settings", Partitions: 1, Cleanup: CleanupCompact, Tombstones: ChangelogTombstones, MaxBytes: MaxRecordBytes + MaxRecordBytes/4},
		Topic{Name: TopicPlatform, Key: "shop|address", Holds: "changes of consent, and when people get a conversation or give it back: for the messaging platform to read", Partitions: AnalyticsPartitions, Cleanup: CleanupDelete, Retention: MailboxRetention, MaxBytes: MaxRecordBytes + MaxRecordBytes/4},
		Topic{Name: TopicEpisodes, Key: "shop|address", Holds: "the conversations of an address that people have now; none where the newest record lists none", Partitions: AnalyticsPartitions, Cleanup: CleanupCompact, Tombstones: ChangelogTombstones, MaxBytes: MaxRecordBytes + MaxRecordBytes/4},
		Topic{Name: TopicDeadLetters, Key: "the failed record's key", Holds: "records that a stage could not process, with reason", Partitions: AnalyticsPartitions, Cleanup: CleanupDelete, Retention: 2 * MailboxRetention, MaxBytes: 2 * MaxRecordBytes},
	)
}

// Config returns the topic's Kafka configuration.
func (t Topic) Config() map[string]string {
	c := map[string]string{
		"cleanup.policy":    string(t.Cleanup),
		"max.message.bytes": fmt.Sprint(t.MaxBytes),
	}
	if t.Cleanup == CleanupCompact {
		c["delete.retention.ms"] = fmt.Sprint(t.Tombstones.Milliseconds())
	} else {
		c["retention.ms"] = fmt.Sprint(t.Retention.Milliseconds())
	}
	return c
}

// Partition returns the partition of a key among n: Kafka's murmur2, as its own clients compute it.
func Partition(key []byte, n int) int32 {
	return int32((murmur2(key) & 0x7fffffff) % uint32(n))
}

// murmur2 is the 32-bit hash of Kafka's default partitioner, seed 0x9747b28c.
func murmur2(b []byte) uint32 {
	const m = 0x5bd1e995
	h := uint32(0x9747b28c) ^ uint32(len(b))
	for ; len(b) >= 4; b = b[4:] {
		k := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		k *= m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	return h ^ h>>15
}
