package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// asMember is the environment variable that makes this program a member.
const asMember = "HANDOFF_TORTURE_MEMBER"

// process is one life of a member, seen from the parent.
type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser

	committed chan struct{} // has one once it committed, since its start or the last mark or hit
	marked    chan struct{}
	disarmed  chan struct{}
	dead      chan struct{} // closed when the process is gone
	started   time.Time
	told      told
	died      time.Time // set before dead is closed
	said      string    // set before dead is closed: why it failed by itself; else empty

	mu  sync.Mutex
	hit map[int]chan struct{} // guarded by mu; by trap, closed when it sprang
}

// spawn starts a member that runs the order, with traps laid. Its log is appended to dir/log.
func spawn(ctx context.Context, o order, laid ...trap) (*process, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(o.Dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{cmd: exec.CommandContext(ctx, self), committed: make(chan struct{}, 1), marked: make(chan struct{}, 1), disarmed: make(chan struct{}, 1),
		dead: make(chan struct{}), started: time.Now(), hit: map[int]chan struct{}{}}
	p.cmd.Env = append(os.Environ(), asMember+"=1")
	p.cmd.Stderr = log
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a member: %w", err)
	}
	go p.listen(out)
	raw, err := json.Marshal(o)
	if err == nil {
		_, err = fmt.Fprintf(p.stdin, "%s\n", raw)
	}
	for _, t := range laid {
		if err == nil {
			err = p.lay(t)
		}
	}
	if err == nil {
		_, err = fmt.Fprintln(p.stdin, "go")
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("give a member its order: %w", err), p.kill())
	}
	return p, nil
}

// listen reads what the member says until it is gone.
func (p *process) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	failed := ""
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "commit":
			select {
			case p.committed <- struct{}{}:
			default:
			}
		case "step":
			p.told.take(rest)
		case "producer":
			p.told.produces(rest)
		case "disarmed":
			p.disarmed <- struct{}{}
		case "marked":
			p.forgetCommit()
			p.marked <- struct{}{}
		case "failed":
			failed = rest
		case "hit":
			p.forgetCommit()
			if id, err := strconv.Atoi(rest); err == nil {
				p.mu.Lock()
				if c := p.hit[id]; c != nil {
					close(c)
				}
				delete(p.hit, id)
				p.mu.Unlock()
			}
		}
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && !exit.Sys().(syscall.WaitStatus).Signaled() && failed == "" { //nolint:errcheck // Always one on the systems this runs on.
		failed = exit.Error()
	}
	p.died, p.said = time.Now(), failed
	close(p.dead)
}

// forgetCommit begins a new way to a commit.
func (p *process) forgetCommit() {
	p.told.forget()
	select {
	case <-p.committed:
	default:
	}
}

// mark makes the next commit be told again.
func (p *process) mark() error {
	if _, err := fmt.Fprintln(p.stdin, "mark"); err != nil {
		return fmt.Errorf("mark a member: %w", err)
	}
	select {
	case <-p.marked:
		return nil
	case <-p.dead:
		return fmt.Errorf("a member ended by itself: %s", p.said)
	case <-time.After(endWait):
		return errors.New("a member does not answer")
	}
}

// disarm takes away the traps that have not sprung, unless the member has died of one.
func (p *process) disarm() error {
	if _, err := fmt.Fprintln(p.stdin, "disarm"); err != nil && p.alive() {
		return fmt.Errorf("disarm a member: %w", err)
	}
	select {
	case <-p.disarmed:
		return nil
	case <-p.dead:
		return nil
	case <-time.After(endWait):
		return errors.New("a member does not answer")
	}
}

// lay lays a trap in the running member.
func (p *process) lay(t trap) error {
	p.mu.Lock()
	p.hit[t.ID] = make(chan struct{})
	p.mu.Unlock()
	raw, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdin, "lay %s\n", raw)
	return err
}

// sprang returns a channel that is closed once the trap has sprung.
func (p *process) sprang(id int) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.hit[id]; c != nil {
		return c
	}
	done := make(chan struct{})
	close(done)
	return done
}

func (p *process) alive() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.dead:
		return false
	default:
		return true
	}
}

// endWait bounds what must come at once, on a machine that is busy.
const endWait = 30 * time.Second

func (p *process) kill() error {
	_ = p.cmd.Process.Kill() // it may be gone already
	return p.gone(endWait)
}

func (p *process) gone(within time.Duration) error {
	select {
	case <-p.dead:
		return nil
	case <-time.After(within):
		return fmt.Errorf("process %d does not end within %s", p.cmd.Process.Pid, within)
	}
}

func (p *process) tellStop() error {
	if _, err := fmt.Fprintln(p.stdin, "stop"); err != nil && p.alive() {
		return fmt.Errorf("tell a member to stop: %w", err)
	}
	return nil
}

// stop lets the member leave, and tells how long it took. It must end by itself.
func (p *process) stop() (time.Duration, error) {
	began := time.Now()
	if err := p.tellStop(); err != nil {
		return 0, err
	}
	if err := p.gone(endWait); err != nil {
		// Where it hangs is in its log.
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		return time.Since(began), errors.Join(err, p.gone(endWait), p.kill())
	}
	if p.said != "" {
		return time.Since(began), fmt.Errorf("a member that was to stop failed: %s", p.said)
	}
	return time.Since(began), nil
}

func (p *process) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// copyDir copies a directory of plain files and directories.
func copyDir(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.CopyFS(to, os.DirFS(filepath.Clean(from)))
}
