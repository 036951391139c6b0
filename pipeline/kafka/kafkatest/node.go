package kafkatest

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

//go:embed log4j2.properties
var loggingConfig string

// node is one broker and controller.
type node struct {
	id   int
	dir  string
	port int
	java []string // arguments before the class
	life context.Context

	mu      sync.Mutex
	running *process // guarded by mu; nil or ended when the node is down
}

// process is one life of a node.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func (p *process) alive() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (n *node) address() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

func (n *node) properties() string { return filepath.Join(n.dir, "server.properties") }

func (n *node) log() string { return filepath.Join(n.dir, "log") }

func (n *node) configure(properties map[string]string) error {
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of node %d: %w", n.id, err)
	}
	if err := os.WriteFile(n.properties(), []byte(lines(properties)), 0o644); err != nil {
		return fmt.Errorf("configure node %d: %w", n.id, err)
	}
	return nil
}

// format prepares an empty data directory.
func (n *node) format(ctx context.Context, cluster string) error {
	if _, err := os.Stat(filepath.Join(n.dir, "data", "meta.properties")); err == nil {
		return nil
	}
	java, err := findJava()
	if err != nil {
		return err
	}
	// It runs for a moment only: optimizing it would take longer.
	arguments := append([]string{"-XX:TieredStopAtLevel=1"}, n.java...)
	cmd := exec.CommandContext(ctx, java, append(arguments, "kafka.tools.StorageTool", "format",
		"--cluster-id", cluster, "--config", n.properties())...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format the data directory: %w\n%s", err, lastLines(out, 10))
	}
	return nil
}

// findJava returns the JDK's launcher.
func findJava() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		if path, err := exec.LookPath(filepath.Join(home, "bin", "java")); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("java")
	if err != nil {
		return "", errors.New("no java found: install a JDK of at least 17, or set JAVA_HOME")
	}
	return path, nil
}

// launch starts the process unless it runs.
func (n *node) launch() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running.alive() {
		return nil
	}
	if err := n.life.Err(); err != nil {
		return fmt.Errorf("the cluster is closed: %w", err)
	}
	java, err := findJava()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(n.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open its log: %w", err)
	}
	cmd := exec.CommandContext(n.life, java, append(n.java, "kafka.Kafka", n.properties())...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = apart()
	p := &process{cmd: cmd, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel's signal at the parent's death is sent at the death of the thread that forked, so
		// that thread must live as long as the child.
		runtime.LockOSThread()
		defer close(p.ended)
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", java, err)
	}
	n.running = p
	return nil
}

func (n *node) process() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.running
}

// await returns once the node lists itself and as many brokers as that.
func (n *node) await(ctx context.Context, brokers int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(n.address()), kgo.ClientID("kafkatest"), kgo.RequestRetries(0), kgo.DialTimeout(time.Second))
	if err != nil {
		return fmt.Errorf("configure a client: %w", err)
	}
	defer client.Close()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	p := n.process()
	for {
		if n.takesPart(ctx, client, brokers) {
			return nil
		}
		select {
		case <-again.C:
		case <-p.ended:
			return fmt.Errorf("it ended while starting; the last of %s:\n%s", n.log(), n.logTail())
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w; the last of %s:\n%s", ctx.Err(), n.log(), n.logTail())
		}
	}
}

// takesPart tells whether the node is among the brokers it knows, and enough others are.
func (n *node) takesPart(ctx context.Context, client *kgo.Client, brokers int) bool {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	resp, err := client.SeedBrokers()[0].Request(ctx, req)
	if err != nil {
		return false
	}
	answer, ok := resp.(*kmsg.MetadataResponse)
	if !ok || len(answer.Brokers) < brokers {
		return false
	}
	for _, b := range answer.Brokers {
		if int(b.NodeID) == n.id {
			return true
		}
	}
	return false
}

// signal sends a signal to the process if it runs.
func (n *node) signal(s syscall.Signal) error {
	p := n.process()
	if !p.alive() {
		return nil
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s: %w", s, err)
	}
	return nil
}

func (n *node) pause() error { return n.signal(syscall.SIGSTOP) }

func (n *node) resume() error { return n.signal(syscall.SIGCONT) }

func (n *node) kill() error {
	p := n.process()
	if p == nil {
		return nil
	}
	if err := n.signal(syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(30 * time.Second):
		return fmt.Errorf("process %d does not end", p.cmd.Process.Pid)
	}
}

func (n *node) stop(ctx context.Context) error {
	p := n.process()
	if p == nil {
		return nil
	}
	if err := n.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("it does not stop: %w", ctx.Err()), n.kill())
	}
}

// logTail returns the last lines of the node's log.
func (n *node) logTail() string {
	raw, err := os.ReadFile(n.log())
	if err != nil {
		return err.Error()
	}
	return lastLines(raw, 20)
}

// lastLines returns the end of a log without the frames of stack traces.
func lastLines(text []byte, n int) string {
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	all = slices.DeleteFunc(all, func(line []byte) bool { return bytes.HasPrefix(line, []byte("\tat ")) })
	all = all[max(0, len(all)-n):]
	var b strings.Builder
	for _, line := range all {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	return b.String()
}
