// Package statev1 is the Go form of handoff.state.v1, generated from schemas/proto: the entries that
// stages keep under a record's key.
package statev1
