// Package handoffv1 is the Go form of handoff.v1, generated from schemas/proto: the records that travel
// between the stages, the gateway and the connectors. The comments on the fields say what each means.
package handoffv1

// TakeUnknown takes over the fields of another record that this version does not know. Both share their bytes.
func (x *Record) TakeUnknown(of *Record) { x.unknownFields = of.unknownFields }
