package pipeline

import (
	"context"
	"time"
)

// PendingCall is a stored call and the key it is stored under.
type PendingCall struct {
	Partition int32
	// Known tells that it replaces a call that was committed before.
	Known bool
	Key   []byte
	Call  Call
}

// Reader reads committed state only. It is safe for concurrent use, and its answers are of one
// moment: what a transaction wrote shows whole, after its commit.
type Reader interface {
	// Get returns an entry of the stage's state. ok is false when there is none, or when the partition
	// is not owned any more.
	Get(partition int32, key []byte, name string) (value []byte, ok bool, err error)
	// Scan calls fn for every entry under key whose name begins with prefix, in byte order.
	Scan(partition int32, key []byte, prefix string, fn func(name string, value []byte) bool) error
	// Calls returns the calls stored under key that have not ended, in the order of their creation. It shows
	// what Committed and Assigned tell, and may show what they are about to tell.
	Calls(partition int32, key []byte) ([]PendingCall, error)
	// Settings of all shops.
	Settings() Settings
	// Behind tells how old the oldest unread record of the partition's mailbox is; 0 when read to its
	// end.
	Behind(partition int32) time.Duration
	// Lease tells whether this process may start a request for the partition now: it owns it and its
	// last good heartbeat is younger than half the session time-out.
	Lease(partition int32) bool
}

// Caller makes a stage's outside calls. The runner calls its methods one at a time, and in the order
// of commits for any one partition; none of them may block on the outside.
type Caller interface {
	// Assigned begins a partition; inherited are the calls stored before this process owned it, in the
	// order of their creation. Another process may still be making them.
	Assigned(partition int32, read Reader, inherited []PendingCall)
	// Committed tells what a transaction stored, replaced and ended, after it is readable; ended are the
	// calls as they were before. A call that one transaction stores and ends is not told. Nothing was asked
	// of the outside before this.
	Committed(partition int32, stored, ended []PendingCall)
	// Revoked ends a partition: nothing new starts; it waits for running requests until ctx ends. The
	// rest finish and post their results whoever owns the partition then.
	Revoked(ctx context.Context, partition int32)
}
