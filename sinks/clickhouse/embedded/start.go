package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options say where the engine keeps its data and how its process is started.
// The zero value is complete for a program that passes ExeArgs.
type Options struct {
	// DataDir is kept across restarts. Empty means a temporary directory,
	// removed when the server is closed. One engine at a time uses a
	// directory.
	DataDir string
	// Exe is the program to run; empty means the running one. With ExeArgs
	// as its first arguments it must call [ChildMain] with the rest.
	Exe     string
	ExeArgs []string
	// Listen is the loopback address to serve on; empty means a free port of
	// 127.0.0.1.
	Listen string
	// Password, where set, is required of every client. It is for machines
	// with several users: without it, each of them can query the engine.
	Password string
	// Engine names libchdb or a `clickhouse` binary. Empty means the binary
	// on the PATH, else the library, installed when it is not there yet.
	Engine string
	// LockWait is how long to wait for another engine to leave DataDir, for
	// instance a killed one's child that is still ending. Zero means 10 s.
	LockWait time.Duration
	// Progress gets a line per step of an installation; nil discards them.
	Progress io.Writer
}

// Server is a running engine.
type Server struct {
	addr    string
	cmd     *exec.Cmd
	pipe    io.Closer
	tempDir string
	stderr  *tail

	done chan struct{}
	// err is written before done is closed.
	err error

	mu struct {
		sync.Mutex
		closing bool
	}
}

// Start runs the engine and returns when it answers queries. ctx bounds the
// start, an installation included, not the engine's life.
//
// Errors wrap [ErrNoEngine] when there is no engine to run, and name the data
// directory when another engine holds it.
func Start(ctx context.Context, opt Options) (*Server, error) {
	config, err := opt.child(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{done: make(chan struct{}), stderr: &tail{}}
	if config.data == "" {
		if s.tempDir, err = os.MkdirTemp("", "handoff-clickhouse-"); err != nil {
			return nil, fmt.Errorf("create the engine's data directory: %w", err)
		}
		config.data = s.tempDir
	}
	if err := s.spawn(ctx, opt, config); err != nil {
		s.removeTemp()
		return nil, err
	}
	return s, nil
}

// child completes the options into what the child is told.
func (o Options) child(ctx context.Context) (childConfig, error) {
	c := childConfig{data: o.DataDir, listen: o.Listen, lockWait: o.LockWait}
	if c.listen == "" {
		c.listen = "127.0.0.1:0"
	}
	if host, _, err := net.SplitHostPort(c.listen); err != nil || !net.ParseIP(host).IsLoopback() {
		return c, fmt.Errorf("the engine listens on loopback only, %q is no loopback address with a port", c.listen)
	}
	if c.lockWait == 0 {
		c.lockWait = 10 * time.Second
	}
	if c.data != "" {
		abs, err := filepath.Abs(c.data)
		if err != nil {
			return c, fmt.Errorf("find the engine's data directory: %w", err)
		}
		c.data = abs
	}
	path := o.Engine
	if path == "" {
		found, err := findEngine(ctx, o.Progress)
		if err != nil {
			return c, err
		}
		path = found
	}
	if strings.Contains(filepath.Base(path), "libchdb") {
		c.library = path
	} else {
		c.server = path
	}
	return c, nil
}

// findEngine prefers the user's own ClickHouse and falls back to the library.
func findEngine(ctx context.Context, progress io.Writer) (string, error) {
	if path, err := exec.LookPath("clickhouse"); err == nil {
		if path, err = filepath.Abs(path); err == nil {
			return path, nil
		}
	}
	return Install(ctx, progress)
}

// spawn starts the child and waits for its address.
func (s *Server) spawn(ctx context.Context, opt Options, config childConfig) error {
	exe := opt.Exe
	if exe == "" {
		var err error
		if exe, err = os.Executable(); err != nil {
			return fmt.Errorf("find the running program: %w", err)
		}
	}
	s.cmd = exec.Command(exe, append(append([]string{}, opt.ExeArgs...), config.args()...)...)
	s.cmd.Env = append(os.Environ(), passwordVariable+"="+opt.Password)
	s.cmd.Stderr = s.stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("open the engine's pipe: %w", err)
	}
	s.pipe = in
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("open the engine's output: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start the ClickHouse engine's process: %w", err)
	}
	address := make(chan string, 1)
	go s.watch(out, address)
	return s.await(ctx, address)
}

// watch reads the child's output for the address and then waits for its end.
func (s *Server) watch(out io.Reader, address chan<- string) {
	defer close(s.done)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), readyLine); ok {
			select {
			case address <- addr:
			default:
			}
		}
	}
	s.err = s.ended(s.cmd.Wait())
}

// ended makes the error of a child's end: none when it was asked to.
func (s *Server) ended(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closing {
		return nil
	}
	return &ExitError{Err: err, Output: s.stderr.String()}
}

// await returns once the child serves, has ended, or ctx is done.
func (s *Server) await(ctx context.Context, address <-chan string) error {
	select {
	case s.addr = <-address:
		return nil
	case <-s.done:
		return fmt.Errorf("start the ClickHouse engine: %w", s.err)
	case <-ctx.Done():
		_ = s.Close()
		return fmt.Errorf("start the ClickHouse engine: %w; it said: %s", ctx.Err(), s.stderr.String())
	}
}

// Addr is the host and port that serve ClickHouse's HTTP interface.
func (s *Server) Addr() string { return s.addr }

// PID is the child's process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Done is closed when the child has ended, for whatever reason.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err says why the child ended by itself, as an [*ExitError]; nil while it
// runs and after Close.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Close ends the engine in order, kills it when that takes longer than ten
// seconds, and removes the data directory if it was a temporary one. It may be
// called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	s.mu.closing = true
	s.mu.Unlock()
	_ = s.pipe.Close() // closing twice is harmless, and so is a child that is gone
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	select {
	case <-s.done:
	case <-limit.C:
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	s.removeTemp()
	return nil
}

// removeTemp removes a temporary data directory.
func (s *Server) removeTemp() {
	if s.tempDir != "" {
		_ = os.RemoveAll(s.tempDir) // left to the system's own cleaning
	}
}

// ExitError is the end of the engine's process that nobody asked for.
type ExitError struct {
	// Err is the process's state; nil for exit code 0.
	Err error
	// Output is the end of what it wrote to standard error.
	Output string
}

// Error implements error.
func (e *ExitError) Error() string {
	text := "the ClickHouse engine's process ended"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Output != "" {
		text += ": " + strings.TrimSpace(e.Output)
	}
	return text
}

// Unwrap returns the process's state.
func (e *ExitError) Unwrap() error { return e.Err }

// IsExit says whether an error is the end of an engine's process.
func IsExit(err error) bool {
	var e *ExitError
	return errors.As(err, &e)
}
