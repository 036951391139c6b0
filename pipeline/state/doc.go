// Package state keeps a stage's state: entries, timers, seen ids and pending calls of one partition,
// durable in a Backing (Pebble, or memory) and mirrored by a changelog.
//
// A Partition is the single-threaded machine that runs a stage over one partition's records. Both the
// Kafka runner and the in-memory script runner drive it:
//
//	p, _ := state.NewPartition(cfg, backing)
//	p.Process(record, …)        // any number of times; Advance fires timers without a record
//	p.TakeEmits()               // what to produce
//	p.Seal(changelog)           // the transaction's changelog, its position last
//	p.Committed(…)              // once the transaction is known to be committed
//	p.Save()                    // into the backing, at once or after some more transactions
//
// What was not committed never reaches the backing. A transaction that fails is dropped with Abort.
// Restore is Replay of changelog records. One partition is one goroutine's at a time; different
// partitions of one Store may be used at once.
package state
