package kafkatest

import "syscall"

// apart gives a node a process group of its own, so that a terminal's Ctrl-C does not reach it before
// its clients are done, and has the kernel kill it when the thread that started it ends.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
