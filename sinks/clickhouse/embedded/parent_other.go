//go:build !linux

package embedded

import "syscall"

// dieWithParent asks for nothing where the kernel offers nothing.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
