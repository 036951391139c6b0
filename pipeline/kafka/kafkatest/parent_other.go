//go:build !linux

package kafkatest

import "syscall"

// apart gives a node a process group of its own, so that a terminal's Ctrl-C does not reach it before
// its clients are done.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
