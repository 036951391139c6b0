package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a running side.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed once err is set
	err   error
	log   tail
}

// startSide starts a side in a process of its own; it is killed when ctx ends.
func startSide(ctx context.Context, s sideSpec) (*process, error) {
	cmd, err := sideCmd(ctx, s)
	if err != nil {
		return nil, err
	}
	return startProcess(cmd)
}

// startProcess starts a command and watches over it.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	// Not in our group: an interrupt of the terminal is ours to pass on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func sideCmd(ctx context.Context, s sideSpec) (*exec.Cmd, error) {
	if s.Side == sideStreams || s.Side == sideStreamsNoCache {
		return streamsCmd(ctx, s)
	}
	program := s.program
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
	}
	spec, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write the specification: %w", err)
	}
	return exec.CommandContext(ctx, program, sideCommand, string(spec)), nil
}

// alive returns why the process ended although nobody asked it to.
func (p *process) alive() error {
	select {
	case <-p.ended:
		return fmt.Errorf("the side's process ended early: %v", p.err)
	default:
		return nil
	}
}

// stop asks the process to end, and kills it when it does not.
func (p *process) stop() error {
	if err := p.alive(); err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the side: %w", err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(20 * time.Second):
		return p.kill()
	}
}

// kill ends the process at once, as a crash does.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the side: %w", err)
	}
	<-p.ended
	return nil
}

// cpu is what the process used so far, user and system.
func (p *process) cpu() (time.Duration, error) { return cpuOf(p.cmd.Process.Pid) }

// cpuOf is what a process of that id used so far, user and system.
func cpuOf(pid int) (time.Duration, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read its CPU time: %w", err)
	}
	// The second field is a name in parentheses that may hold anything (proc(5)); utime and stime are
	// fields 14 and 15, in clock ticks, which are 10 ms on every Linux that Go runs on.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("read its CPU time: %d fields in stat", len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read its CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// peakMemory is the largest resident set the process had, in bytes.
func (p *process) peakMemory() (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("read its memory: %w", err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read its memory: %w", err)
			}
			return kb << 10, nil
		}
	}
	return 0, errors.New("read its memory: no VmHWM in status")
}

// tail keeps the last lines that a process wrote.
type tail struct {
	mu sync.Mutex
	b  []byte // guarded by mu
}

const tailBytes = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if len(t.b) > 2*tailBytes {
		t.b = append(t.b[:0], t.b[len(t.b)-tailBytes:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b[max(0, len(t.b)-tailBytes):])
}
