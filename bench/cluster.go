package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/kafka/kafkatest"
	"github.com/handoff-dev/handoff/schemas"
)

// cluster is the broker that all sides use, with an admin client.
type cluster struct {
	brokers []string
	name    string // of its kind, for the report
	client  *kgo.Client
	admin   *kadm.Client
	close   func() error
	fresh   int // topics named so far
	prefix  string
}

// Of the real broker, the same for all sides: its heap, and the version that results so far were measured on.
const (
	brokerHeap    = "1g"
	brokerVersion = "4.3.1"
)

// openCluster starts the broker that the flag names, or connects to it.
func openCluster(ctx context.Context, broker string) (*cluster, error) {
	c := &cluster{name: broker, prefix: "bench" + strconv.FormatInt(time.Now().Unix(), 36)}
	switch broker {
	case "kafka":
		started, err := kafkatest.Start(ctx, kafkatest.Config{Version: brokerVersion, Heap: brokerHeap, Progress: os.Stderr, Port: brokerPort(ctx),
			// Room for what is measured; segments are not rolled for the sake of tests.
			Settings: map[string]string{"log.segment.bytes": strconv.Itoa(256 << 20), "log.cleaner.backoff.ms": "15000",
				"log.segment.delete.delay.ms": "1000"}})
		if err != nil {
			return nil, err
		}
		c.brokers, c.close = started.Brokers(), started.Close
	case "kfake":
		brokers, end, err := startFake(ctx)
		if err != nil {
			return nil, err
		}
		c.brokers, c.close = brokers, end
	default:
		c.brokers, c.close = strings.Split(broker, ","), func() error { return nil }
	}
	var err error
	if c.client, err = kgo.NewClient(kgo.SeedBrokers(c.brokers...)); err != nil {
		return nil, errors.Join(fmt.Errorf("connect: %w", err), c.close())
	}
	c.admin = kadm.NewClient(c.client)
	if err := c.create(ctx, schemas.TopicDeadLetters, 4, nil); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// brokerPort lets whoever shares a machine choose where brokers listen: there, or at the next ports
// that are free.
func brokerPort(ctx context.Context) int {
	port, err := strconv.Atoi(os.Getenv("BENCH_PORT"))
	if err != nil {
		return 0
	}
	for ; ; port += 2 {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return port
		}
		conn.Close()
	}
}

func (c *cluster) Close() error {
	c.client.Close()
	return c.close()
}

// freshName returns a name that no topic had before.
func (c *cluster) freshName() string {
	c.fresh++
	return fmt.Sprintf("%s-%d", c.prefix, c.fresh)
}

// create makes a topic that keeps everything, whatever time its records claim; one that is there stays.
func (c *cluster) create(ctx context.Context, topic string, partitions int, config map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// As large batches as the catalogue's topics take.
	forever, largest := "-1", strconv.Itoa(schemas.MaxRecordBytes+schemas.MaxRecordBytes/4)
	all := map[string]*string{"retention.ms": &forever, "max.message.bytes": &largest}
	for k, v := range config {
		all[k] = &v
	}
	made, err := c.admin.CreateTopics(ctx, int32(partitions), 1, all, topic)
	if err == nil {
		err = made.Error()
	}
	if err != nil && !strings.Contains(err.Error(), "TOPIC_ALREADY_EXISTS") {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	// The answer comes before all partitions have leaders.
	for {
		if listed, err := c.admin.ListEndOffsets(ctx, topic); err == nil && listed.Error() == nil && len(listed[topic]) == partitions {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for topic %s: %w", topic, ctx.Err())
		}
	}
}

// remove deletes every topic and group whose name has one of the parts in it.
func (c *cluster) remove(ctx context.Context, parts ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	has := func(name string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(name, part) })
	}
	topics, err := c.topics(ctx)
	if err != nil {
		return err
	}
	if names := slices.DeleteFunc(topics, func(n string) bool { return !has(n) }); len(names) > 0 {
		deleted, err := c.admin.DeleteTopics(ctx, names...)
		if err == nil {
			err = deleted.Error()
		}
		if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) { // listed a moment after its end
			return fmt.Errorf("delete topics: %w", err)
		}
	}
	groups, err := c.admin.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	if names := slices.DeleteFunc(groups.Groups(), func(n string) bool { return !has(n) }); len(names) > 0 {
		// A static member stays in its group until its session ends, and so does the group.
		if _, err := c.admin.DeleteGroups(ctx, names...); err != nil {
			return fmt.Errorf("delete groups: %w", err)
		}
	}
	return nil
}

// topics returns the names of all topics that are not the broker's own. The admin client would answer
// from memory, without what was made a moment ago.
func (c *cluster) topics(ctx context.Context) ([]string, error) {
	response, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, c.client)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var names []string
	for _, t := range response.Topics {
		if t.Topic != nil && !t.IsInternal && t.ErrorCode == 0 {
			names = append(names, *t.Topic)
		}
	}
	return names, nil
}

// committed is the sum of a group's offsets of a topic, and how many partitions have one.
func (c *cluster) committed(ctx context.Context, group, topic string) (sum int64, each map[int32]int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	offsets, err := c.admin.FetchOffsets(ctx, group)
	if err != nil {
		return 0, nil, err
	}
	each = map[int32]int64{}
	for p, o := range offsets[topic] {
		if o.Err == nil && o.At > 0 {
			sum += o.At
			each[p] = o.At
		}
	}
	return sum, each, nil
}

// fakeCommand makes this program an in-memory broker's process.
const fakeCommand = "kfake"

// serveFake prints the broker's addresses and serves until its input ends.
func serveFake(ctx context.Context) error {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		return fmt.Errorf("start kfake: %w", err)
	}
	defer c.Close()
	fmt.Println(strings.Join(c.ListenAddrs(), ","))
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return nil
}

// startFake runs serveFake in a process of its own.
func startFake(ctx context.Context) ([]string, func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, fakeCommand)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start kfake: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, fmt.Errorf("start kfake: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start kfake: %w", err)
	}
	end := func() error { return errors.Join(in.Close(), cmd.Wait()) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("kfake gave no address: %w", err), end())
	}
	return strings.Split(strings.TrimSpace(line), ","), end, nil
}
