package embedded

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// serverStart bounds how long a `clickhouse server` may take to answer.
const serverStart = 60 * time.Second

// runServer supervises the user's own `clickhouse` binary as a server on
// loopback. It is this process, not the parent, that starts it, so that the
// server ends when the parent does.
func (c childConfig) runServer(gone <-chan struct{}, ready io.Writer) error {
	addr, err := freeAddress(c.listen)
	if err != nil {
		return err
	}
	dir := filepath.Join(c.data, "server")
	config, err := writeServerConfig(dir, addr, os.Getenv(passwordVariable))
	if err != nil {
		return err
	}
	cmd := exec.Command(c.server, "server", "--config-file="+config)
	cmd.Dir = dir
	output := &tail{}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s server: %w", c.server, err)
	}
	ended := &ending{done: make(chan struct{})}
	go func() {
		defer close(ended.done)
		ended.err = cmd.Wait()
	}()
	if err := awaitServer(addr, ended, gone); err != nil {
		stopServer(cmd, ended)
		return fmt.Errorf("%s server: %w: %s", c.server, err, lastLines(output.String(), 5))
	}
	if _, err := fmt.Fprintf(ready, "%s%s\n", readyLine, addr); err != nil {
		stopServer(cmd, ended)
		return fmt.Errorf("tell the parent the address: %w", err)
	}
	select {
	case <-ended.done:
		return fmt.Errorf("%s server ended (%v): %s", c.server, ended.err, lastLines(output.String(), 5))
	case <-gone:
		stopServer(cmd, ended)
		return nil
	}
}

// ending is the end of a process: err is written before done is closed.
type ending struct {
	done chan struct{}
	err  error
}

// freeAddress settles a port 0: ClickHouse wants to be told a port. Another
// program may take it in between; then the server says so and ends.
func freeAddress(listen string) (string, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", fmt.Errorf("find a port for the ClickHouse server: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}

// writeServerConfig writes the smallest configuration that serves HTTP on one
// loopback address with one user, and returns its path.
func writeServerConfig(dir, addr, password string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("read the address %q: %w", addr, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("create the ClickHouse server's directory: %w", err)
	}
	text := fmt.Sprintf(serverConfig, host, port, escapeXML(dir), escapeXML(password))
	path := filepath.Join(dir, "config.xml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write the ClickHouse server's configuration: %w", err)
	}
	return path, nil
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

// serverConfig takes the host, the port, the directory and the password.
const serverConfig = `<clickhouse>
  <logger><level>warning</level><console>true</console></logger>
  <listen_host>%[1]s</listen_host>
  <http_port>%[2]s</http_port>
  <path>%[3]s/data/</path>
  <tmp_path>%[3]s/tmp/</tmp_path>
  <user_files_path>%[3]s/user_files/</user_files_path>
  <format_schema_path>%[3]s/format_schemas/</format_schema_path>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password>%[4]s</password>
      <networks><ip>127.0.0.1</ip><ip>::1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
  </users>
  <user_directories>
    <users_xml><path>%[3]s/config.xml</path></users_xml>
  </user_directories>
</clickhouse>
`

// awaitServer asks until the server answers.
func awaitServer(addr string, ended *ending, gone <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), serverStart)
	defer cancel()
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		if pinged(ctx, addr) {
			return nil
		}
		select {
		case <-ended.done:
			return fmt.Errorf("ended while it started (%v)", ended.err)
		case <-gone:
			return errors.New("stopped while it started")
		case <-ctx.Done():
			return fmt.Errorf("gave no answer on %s within %s", addr, serverStart)
		case <-retry.C:
		}
	}
}

func pinged(ctx context.Context, addr string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/ping", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stopServer asks the server to end and kills it when it does not.
func stopServer(cmd *exec.Cmd, ended *ending) {
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	limit := time.NewTimer(shutdownGrace)
	defer limit.Stop()
	select {
	case <-ended.done:
	case <-limit.C:
		_ = cmd.Process.Kill()
		<-ended.done
	}
}
