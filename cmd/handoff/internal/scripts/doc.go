// Package scripts runs conversation scripts against the topology that the binary is wired with: those of
// a shop's own for `handoff script run`, and in its tests every script of pipeline/script/testdata.
package scripts
