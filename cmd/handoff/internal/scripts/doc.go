// Package scripts runs every conversation script of pipeline/script/testdata through the topology that
// the binary is wired with.
package scripts
