// Package kafka runs stages and sinks on Kafka, exactly once.
//
// Runner is the stage's side: poll, process into the overlays of pipeline/state, and commit outputs,
// changelog, a position per touched partition, dead letters and the input offsets in one transaction;
// then save the overlays. SinkRunner writes a topic to an outside store with stored intents. Settings
// is the table of shop settings. Producer is for everything that posts to mailboxes from outside a
// transaction. Admin applies the topic catalogue. LagReader, FoldChangelog, ReadDeadLetters, Resolver and
// Reset are for people: how far stages are, what they hold, what they could not process, and what to do
// about it.
//
// # One loop
//
// A Runner is one member of its stage's group, or several. A member's goroutine polls, hands partitions to a
// few workers and waits for them, commits, and polls again. Rebalances are held off from a poll until the commit, so a transaction never spans one. A
// partition's state belongs to the loop, and to one worker while it works; there are no locks around
// it. Restores run beside the loop, so partitions that stay do not wait for those that come. What the
// runner itself does for a record allocates nothing once it is warm: memory of fetched records, of
// outputs and of the changelog is used again after the commit.
//
// # What is not obvious
//
//   - The changelog's position record and the group's offset carry the same transaction number. Commit
//     markers reach the two topics independently, so restore reads until both agree, not to an end.
//   - Every transaction commits an offset for every partition it touched, the unchanged one too:
//     that is what makes the broker refuse a member that was put out of the group.
//   - Any outcome but a clean commit drops the client and all overlays. Only committed data is ever
//     saved, so nothing is wiped: restore goes on from the saved position.
//   - Control records are kept in polls, because offsets of markers must be passed to know the end.
//   - A partition's clock follows the wall only up to the moment at which its end was asked for and
//     found to be read.
package kafka
