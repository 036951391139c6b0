package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/handoff-dev/handoff/schemas"
)

// brokerCommand makes this program the broker's process.
const brokerCommand = "broker"

const (
	stageName = "count"
	outTopic  = "bench.out"
)

// serveBroker is the broker's process: it prints its address and serves until in ends.
func serveBroker(ctx context.Context, in io.Reader, out io.Writer, args []string) error {
	var w workload
	if len(args) != 1 {
		return errors.New("broker wants its workload")
	}
	if err := json.Unmarshal([]byte(args[0]), &w); err != nil {
		return fmt.Errorf("read workload: %w", err)
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(int32(w.Partitions),
		schemas.Mailbox(stageName), schemas.Changelog(stageName), outTopic, schemas.TopicDeadLetters))
	if err != nil {
		return fmt.Errorf("start broker: %w", err)
	}
	defer c.Close()
	fmt.Fprintln(out, strings.Join(c.ListenAddrs(), ","))
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return nil
}

// broker is a running broker process.
type broker struct {
	addrs []string
	cmd   *exec.Cmd
	in    io.Closer
}

func startBroker(ctx context.Context, w workload) (*broker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	spec, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, brokerCommand, string(spec))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("broker gave no address: %w", err), in.Close(), cmd.Wait())
	}
	return &broker{addrs: strings.Split(strings.TrimSpace(line), ","), cmd: cmd, in: in}, nil
}

func (b *broker) stop() error { return errors.Join(b.in.Close(), b.cmd.Wait()) }
