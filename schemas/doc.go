// Package schemas is the contract that everything in Handoff shares: the topic catalogue, record keys,
// derived ids, and the pure vocabulary of addresses and segments. The records themselves are generated
// into schemas/handoffv1 from schemas/proto; a shop's settings are in schemas/settings. It imports
// nothing of Handoff but those.
package schemas
