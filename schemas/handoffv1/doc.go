// Package handoffv1 is the Go form of handoff.v1, generated from schemas/proto: the records that travel
// between the stages, the gateway and the connectors. The comments on the fields say what each means.
package handoffv1
