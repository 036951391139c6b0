package embedded

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// passwordVariable carries the password to the child, where other users of the
// machine cannot see it, unlike an argument.
const passwordVariable = "HANDOFF_ENGINE_PASSWORD"

// readyLine starts the line that the child writes to its standard output once
// it serves; the address follows.
const readyLine = "clickhouse engine ready on "

// shutdownGrace bounds how long everything may take to end once the parent is
// gone.
const shutdownGrace = 3 * time.Second

// childConfig is what Start tells the child.
type childConfig struct {
	library, server string
	data            string
	listen          string
	lockWait        time.Duration
}

// args are the child's arguments; parseChild is the inverse.
func (c childConfig) args() []string {
	return []string{"--library=" + c.library, "--server=" + c.server, "--data=" + c.data, "--listen=" + c.listen, "--lock-wait=" + c.lockWait.String()}
}

func parseChild(args []string) (childConfig, error) {
	var c childConfig
	flags := flag.NewFlagSet("engine child", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.library, "library", "", "")
	flags.StringVar(&c.server, "server", "", "")
	flags.StringVar(&c.data, "data", "", "")
	flags.StringVar(&c.listen, "listen", "127.0.0.1:0", "")
	flags.DurationVar(&c.lockWait, "lock-wait", 0, "")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if c.data == "" || (c.library == "") == (c.server == "") || flags.NArg() > 0 {
		return c, errors.New("the engine's child process is started by the program itself, not by hand")
	}
	return c, nil
}

// ChildMain is the whole life of the engine's process and returns its exit
// code. The program calls it first thing when its arguments are those that
// were given to [Start] as Options.ExeArgs, with the arguments behind them.
//
// It serves until its standard input is closed, which happens when the parent
// closes the [Server] or ends in any way. Failures are written to standard
// error, which the parent puts into its own error.
func ChildMain(args []string) int {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	c, err := parseChild(args)
	if err == nil {
		err = c.run(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// run holds the data directory's lock and serves from it.
func (c childConfig) run(parent io.Reader, ready io.Writer) error {
	if err := os.MkdirAll(c.data, 0o700); err != nil {
		return fmt.Errorf("create the engine's data directory: %w", err)
	}
	lock, err := acquireLock(context.Background(), filepath.Join(c.data, "engine.lock"), c.lockWait)
	if errors.Is(err, errLocked) {
		return fmt.Errorf("the data directory %s is in use by another ClickHouse engine; end that one or choose another directory (%w)", c.data, err)
	}
	if err != nil {
		return err
	}
	defer lock.release()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, bufio.NewReader(parent)) // ends when the parent does
	}()
	if c.server != "" {
		return c.runServer(gone, ready)
	}
	return c.runLibrary(gone, ready)
}

// runLibrary serves from the library in this process.
func (c childConfig) runLibrary(gone <-chan struct{}, ready io.Writer) error {
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return fmt.Errorf("listen for the engine's clients: %w", err)
	}
	defer func() { _ = listener.Close() }()
	eng, err := loadEngine(c.library, filepath.Join(c.data, "library"))
	if err != nil {
		return err
	}
	statements, kill := context.WithCancel(context.Background())
	defer kill()
	srv := httpServer(statements, newHandler(eng, os.Getenv(passwordVariable)))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	if _, err := fmt.Fprintf(ready, "%s%s\n", readyLine, listener.Addr()); err != nil {
		return fmt.Errorf("tell the parent the address: %w", err)
	}
	select {
	case err := <-served:
		return fmt.Errorf("serve the engine's clients: %w", err)
	case <-gone:
	}
	return stopLibrary(srv, eng, kill)
}

// loadEngine loads and boots the engine, keeping the Go runtime's signal
// handlers.
func loadEngine(path, data string) (*engine, error) {
	handlers, err := saveSignalHandlers()
	if err != nil {
		return nil, err
	}
	lib, err := loadLibrary(path)
	if err != nil {
		return nil, err
	}
	lib.setSignals(0)
	eng, err := bootEngine(lib, data)
	handlers.restore()
	return eng, err
}

// stopLibrary lets running statements end for a second, kills them, and stops
// the engine. What does not stop in time is left to the end of the process:
// nothing that was acknowledged depends on an orderly stop.
func stopLibrary(srv *http.Server, eng *engine, kill context.CancelFunc) error {
	limit, cancel := context.WithTimeout(context.Background(), shutdownGrace)
	defer cancel()
	time.AfterFunc(time.Second, kill)
	if err := srv.Shutdown(limit); err != nil {
		_ = srv.Close()
		return nil
	}
	stopped := make(chan error, 1)
	go func() { stopped <- eng.close() }()
	select {
	case err := <-stopped:
		return err
	case <-limit.Done():
		return nil
	}
}
