package embedded

import "syscall"

// dieWithParent has the kernel end a process when the one that started it is
// killed and cannot do so itself.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
