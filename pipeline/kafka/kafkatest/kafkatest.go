// Package kafkatest runs a real Apache Kafka for tests: one node or three, in KRaft mode, on loopback,
// with nodes that can be killed, stopped and started again while clients are at work.
//
// Kafka itself is fetched with Maven into the user's cache, once per machine. It needs a JDK of at
// least 17 and, for that first fetch, Maven. On Linux nodes end with the process that started them,
// however that ends; anywhere they end with Close, or with the context that Start was given.
//
// Brokers are configured to react fast: see Config.Settings. Data survive a node's kill, not the
// machine's: nothing is synced, as Kafka's defaults have it.
package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Config of a cluster. The zero value is one node with data in a temporary directory.
type Config struct {
	// Version of Kafka; default the constant Version. Data of a newer version are not read by an older one.
	Version string
	// Nodes is 1 (the default) or 3; each is broker and controller. With 3 every topic has three
	// replicas, of which two must be in sync.
	Nodes int
	// Dir for data and logs, made when missing and kept. What an earlier cluster of as many nodes left
	// there is gone on from. Empty: a temporary directory, removed by Close.
	Dir string
	// Port of the first node; node n listens for clients on Port + 2(n-1) (3(n-1) with Users), and for controllers one above.
	// 0: free ports below those that the system gives to outgoing connections, so that a killed node
	// finds its own free when it comes back.
	Port int
	// Heap of each node, as Java writes sizes; default "512m".
	Heap string
	// Java are more options of the virtual machine. -XX:TieredStopAtLevel=1 suits nodes that are started
	// often: a start takes a third less CPU, and hot code more.
	Java []string
	// Settings are added to the nodes' server.properties, or replace what is there. The defaults differ
	// from Kafka's where a test would wait: consumer groups form at once and may have sessions of a
	// second, transactions past their time-out are aborted within half a second, the log cleaner looks
	// every second, a killed broker is missed after three seconds, the topics of coordinators have eight
	// partitions, and no topic is created by asking for it.
	Settings map[string]string
	// Users are names with their passwords. Where there are any, every node has a second listener, SASLBrokers, on
	// which clients authenticate with SASL PLAIN and may do what ACLs allow them. Whoever comes by the first one is
	// a super user, and so are the nodes. Each node then takes a third port, above the others.
	Users map[string]string
	// Progress takes a line about what takes long, such as the first fetch; default none.
	Progress io.Writer
}

// Cluster is a running Kafka. Its methods are safe for concurrent use.
type Cluster struct {
	dir   string
	temp  bool
	nodes []*node
	stop  context.CancelFunc

	closing sync.Once
	closed  error
}

// readyWait bounds the start of a node: seconds on a free machine, more on a loaded one.
const readyWait = 2 * time.Minute

// Start fetches Kafka unless it is there, formats and starts the nodes, and returns once every node
// answers and knows all others. When ctx ends, the nodes are killed.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	if cfg.Nodes == 0 {
		cfg.Nodes = 1
	}
	if cfg.Nodes != 1 && cfg.Nodes != 3 {
		return nil, fmt.Errorf("start Kafka with %d nodes: only 1 or 3 make sense", cfg.Nodes)
	}
	if cfg.Version == "" {
		cfg.Version = Version
	}
	if cfg.Heap == "" {
		cfg.Heap = "512m"
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	lib, err := Install(ctx, cfg.Version, cfg.Progress)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: cfg.Dir}
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "kafkatest"); err != nil {
			return nil, fmt.Errorf("make a directory for Kafka: %w", err)
		}
		c.temp = true
	}
	var life context.Context
	life, c.stop = context.WithCancel(ctx)
	if err := c.open(life, cfg, lib); err != nil {
		return nil, errors.Join(fmt.Errorf("start Kafka: %w", err), c.Close())
	}
	return c, nil
}

// open configures, formats and starts all nodes.
func (c *Cluster) open(ctx context.Context, cfg Config, lib string) error {
	id, err := clusterID(c.dir, cfg.Nodes)
	if err != nil {
		return err
	}
	perNode := 2
	if len(cfg.Users) > 0 {
		perNode = 3
	}
	ports, err := choosePorts(cfg.Port, cfg.Nodes, perNode)
	if err != nil {
		return err
	}
	logging := filepath.Join(c.dir, "log4j2.properties")
	if err := os.WriteFile(logging, []byte(loggingConfig), 0o644); err != nil {
		return fmt.Errorf("configure logging: %w", err)
	}
	for i := range cfg.Nodes {
		n := &node{id: i + 1, dir: filepath.Join(c.dir, strconv.Itoa(i+1)), port: ports[i], life: ctx,
			java: slices.Concat([]string{"-Xmx" + cfg.Heap, "-XX:+UseG1GC"}, cfg.Java,
				[]string{"-Dlog4j2.configurationFile=" + logging, "-cp", filepath.Join(lib, "*")})}
		c.nodes = append(c.nodes, n)
		if err := n.configure(properties(n, ports, cfg)); err != nil {
			return err
		}
	}
	if err := each(c.nodes, func(n *node) error { return n.format(ctx, id) }); err != nil {
		return err
	}
	ready, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	if err := each(c.nodes, (*node).launch); err != nil {
		return err
	}
	return each(c.nodes, func(n *node) error { return n.await(ready, cfg.Nodes) })
}

// clusterID returns the id of the cluster in dir, a new one for an empty directory.
func clusterID(dir string, nodes int) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the data directory: %w", err)
	}
	path := filepath.Join(dir, "cluster")
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		text := newID()
		if err := os.WriteFile(path, fmt.Appendf(nil, "%d %s\n", nodes, text), 0o644); err != nil {
			return "", fmt.Errorf("note the cluster's id: %w", err)
		}
		return text, nil
	}
	if err != nil {
		return "", fmt.Errorf("read the cluster's id: %w", err)
	}
	count, id, ok := strings.Cut(strings.TrimSpace(string(raw)), " ")
	if n, err := strconv.Atoi(count); !ok || err != nil {
		return "", fmt.Errorf("%s does not name a cluster: remove the directory", path)
	} else if n != nodes {
		return "", fmt.Errorf("the cluster in %s has %d nodes, not %d: take another directory", dir, n, nodes)
	}
	return id, nil
}

// newID draws an id of a cluster. None begins like an option of a command.
func newID() string {
	for {
		var id [16]byte
		_, _ = rand.Read(id[:]) // never fails
		if text := base64.RawURLEncoding.EncodeToString(id[:]); text[0] != '-' {
			return text
		}
	}
}

// properties of one node.
func properties(n *node, ports []int, cfg Config) map[string]string {
	var voters []string
	for i, port := range ports {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", i+1, port+1))
	}
	replicas, inSync := "1", "1"
	if len(ports) > 1 {
		replicas, inSync = "3", "2"
	}
	p := map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        strconv.Itoa(n.id),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"listeners":                      fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d", n.port, n.port+1),
		"advertised.listeners":           fmt.Sprintf("PLAINTEXT://127.0.0.1:%d", n.port),
		"controller.listener.names":      "CONTROLLER",
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs":                       filepath.Join(n.dir, "data"),
		"auto.create.topics.enable":      "false",
		// As many copies as there are nodes.
		"default.replication.factor":               replicas,
		"min.insync.replicas":                      inSync,
		"offsets.topic.replication.factor":         replicas,
		"transaction.state.log.replication.factor": replicas,
		"transaction.state.log.min.isr":            inSync,
		// Few partitions start faster, and a coordinator of some group is on every node all the same.
		"offsets.topic.num.partitions":         "8",
		"transaction.state.log.num.partitions": "8",
		// Nobody waits longer than he must.
		"group.initial.rebalance.delay.ms":                            "0",
		"group.min.session.timeout.ms":                                "1000",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
		"log.cleaner.backoff.ms":                                      "1000",
		"broker.session.timeout.ms":                                   "3000",
		"broker.heartbeat.interval.ms":                                "500",
	}
	if len(cfg.Users) > 0 {
		maps.Copy(p, secured(n, cfg.Users))
	}
	maps.Copy(p, cfg.Settings)
	return p
}

// secured are the properties of a node on whose second listener users authenticate and are held to ACLs.
func secured(n *node, users map[string]string) map[string]string {
	login := "org.apache.kafka.common.security.plain.PlainLoginModule required"
	for _, name := range slices.Sorted(maps.Keys(users)) {
		login += fmt.Sprintf(" user_%s=%q", name, users[name])
	}
	return map[string]string{
		"listeners":                                  fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d,SASL://127.0.0.1:%d", n.port, n.port+1, n.port+2),
		"advertised.listeners":                       fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,SASL://127.0.0.1:%d", n.port, n.port+2),
		"listener.security.protocol.map":             "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT",
		"listener.name.sasl.sasl.enabled.mechanisms": "PLAIN",
		"listener.name.sasl.plain.sasl.jaas.config":  login + ";",
		"authorizer.class.name":                      "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":                                "User:ANONYMOUS",
	}
}

// Brokers returns the addresses to bootstrap from, of nodes that are down too.
func (c *Cluster) Brokers() []string {
	all := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		all[i] = n.address()
	}
	return all
}

// SASLBrokers returns the addresses at which Config.Users authenticate.
func (c *Cluster) SASLBrokers() []string {
	all := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		all[i] = fmt.Sprintf("127.0.0.1:%d", n.port+2)
	}
	return all
}

// Dir is where data and logs are: node n's log is the file n/log.
func (c *Cluster) Dir() string { return c.dir }

// Kill ends node n, from 1, at once, as a crash does; one that is down stays so. It returns when the
// process is gone.
func (c *Cluster) Kill(n int) error {
	return c.with(n, (*node).kill)
}

// Stop lets node n hand over and end. It returns when the process is gone, or kills it when ctx ends.
func (c *Cluster) Stop(ctx context.Context, n int) error {
	return c.with(n, func(n *node) error { return n.stop(ctx) })
}

// Start starts node n again and returns once it takes part in the cluster; one that runs is only
// waited for.
func (c *Cluster) Start(ctx context.Context, n int) error {
	return c.with(n, func(n *node) error {
		ctx, cancel := context.WithTimeout(ctx, readyWait)
		defer cancel()
		if err := n.launch(); err != nil {
			return err
		}
		return n.await(ctx, 1)
	})
}

// Restart stops node n and starts it again.
func (c *Cluster) Restart(ctx context.Context, n int) error {
	if err := c.Stop(ctx, n); err != nil {
		return err
	}
	return c.Start(ctx, n)
}

// Pause freezes node n, as a long garbage collection or a lost network does; Resume lets it go on.
func (c *Cluster) Pause(n int) error { return c.with(n, (*node).pause) }

// Resume ends a Pause.
func (c *Cluster) Resume(n int) error { return c.with(n, (*node).resume) }

func (c *Cluster) with(n int, do func(*node) error) error {
	if n < 1 || n > len(c.nodes) {
		return fmt.Errorf("no Kafka node %d: there are %d", n, len(c.nodes))
	}
	if err := do(c.nodes[n-1]); err != nil {
		return fmt.Errorf("Kafka node %d: %w", n, err)
	}
	return nil
}

// Close kills all nodes and removes a temporary directory. A second Close does nothing.
func (c *Cluster) Close() error {
	c.closing.Do(func() {
		c.stop()
		c.closed = each(c.nodes, (*node).kill)
		if c.temp {
			c.closed = errors.Join(c.closed, os.RemoveAll(c.dir))
		}
	})
	return c.closed
}

// each runs do on all nodes at once.
func each(nodes []*node, do func(*node) error) error {
	errs := make([]error, len(nodes))
	var wait sync.WaitGroup
	for i, n := range nodes {
		wait.Go(func() {
			if err := do(n); err != nil {
				errs[i] = fmt.Errorf("node %d: %w", n.id, err)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// lines renders properties in a stable order.
func lines(properties map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		fmt.Fprintf(&b, "%s=%s\n", name, properties[name])
	}
	return b.String()
}
