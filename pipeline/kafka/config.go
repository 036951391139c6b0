package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// Connection says how to reach the brokers.
type Connection struct {
	// Brokers to ask first, host:port; required.
	Brokers []string
	// Options for TLS, SASL, a dialer: given to every client first, so that what exactly once needs
	// cannot be overridden.
	Options []kgo.Opt
}

func (c Connection) options(id string, more ...kgo.Opt) []kgo.Opt {
	// How often metadata may be asked for anew: for a partition's new leader, and before a batch is sent again
	// that came while the broker was still ending the transaction before (CONCURRENT_TRANSACTIONS), which a busy
	// broker answers often. The client's own default is 5 s, and such a batch waits for it.
	// A topic that was just made, which a broker does not know at once, is asked for about as long as by default,
	// where four tries take so long.
	all := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID(id), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RetryBackoffFn(backoff), kgo.RequestRetries(40), kgo.UnknownTopicRetries(200)}
	all = append(all, c.Options...)
	return append(all, more...)
}

// NewClient returns a client of this connection, named id at the brokers.
func (c Connection) NewClient(id string, more ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(c.options(id, more...)...)
	if err != nil {
		return nil, fmt.Errorf("configure client %s: %w", id, err)
	}
	return client, nil
}

// closeConsumer closes a client that reads topics outside of groups. It forgets them first: metadata that comes
// while it closes would have it begin to read what it has not begun yet, and nothing ends that.
func closeConsumer(client *kgo.Client, topics ...string) {
	client.PurgeTopicsFromConsuming(topics...)
	client.Close()
}

// ByKey partitions records as every mailbox is: by murmur2 of the key.
func ByKey() kgo.Partitioner { return byKey("") }

// Config of a Runner.
type Config struct {
	Connection
	// Stage to run; required.
	Stage pipeline.Stage
	// Outputs are the topics that the stage emits to. Run looks at their configuration, as it does at the
	// runner's own topics', and refuses what is too small. Default none.
	Outputs []string
	// Caller makes the stage's outside calls; nil for a stage without calls.
	Caller pipeline.Caller
	// Store keeps local state; required, shared by all runners of the process.
	Store *state.Store
	// Settings of all shops; required unless the stage reads none.
	Settings *Settings
	// Instance names this process among those of the stage, the same after a restart: transactional
	// and static member ids are "<stage>-<instance>", so that a restarted process fences what it left
	// behind at once. Empty: unique per start, which kfake needs.
	Instance string
	// Members is how many members of the group this process is, each with partitions, a client and
	// transactions of its own: while one waits for the end of its transaction, another processes.
	// Default 1.
	Members int
	// Standby is how many other processes keep a copy of each partition's state, near what is committed, so
	// that one of them is at work at once where its owner is gone. Each copy costs the disk of the state and
	// the reading of its changelog. A process with 0, the default, keeps none; else the largest number that a
	// member of the group has counts.
	Standby int
	// Schema version of the stage's state entries. State of a newer version is refused.
	Schema uint32

	// A transaction ends when everything read is processed and nothing more waits, and at the latest
	// after CommitEvery (default 100 ms), CommitRecords (default 50000) or CommitBytes of changes
	// (default 32 MiB). Where commits take over a quarter of CommitEvery, as on a crowded machine, after four
	// times what they take.
	CommitEvery   time.Duration
	CommitRecords int
	CommitBytes   int
	// SaveEvery is how often committed state is written to the Store while records keep coming; at once
	// when they stop, when the cache is full of it, or when there is a Caller. Default 5 s. What a killed
	// process had not saved is read from the changelog again.
	SaveEvery time.Duration
	// SettingsWait is how long a record waits for its settings version before it becomes a dead letter;
	// default 30 s.
	SettingsWait time.Duration
	// RevokeWait is how long a partition that leaves waits for running requests; default 5 s.
	RevokeWait time.Duration
	// DrainWait bounds the end of Run; default 10 s.
	DrainWait time.Duration
	// KeepRevoked is how long the Store keeps the state of a partition that left; default 10 min.
	KeepRevoked time.Duration
	// TransactionTimeout of the broker; default 15 s.
	TransactionTimeout time.Duration
	// SessionTimeout of the group; default 45 s.
	SessionTimeout time.Duration
	// RestoreWait is how long a changelog may stay behind its group's offset before Run fails;
	// default 30 s.
	RestoreWait time.Duration
	// CacheBytes bounds the memory of hot state, of all partitions this runner owns together; default
	// 256 MiB.
	CacheBytes int
	// SeenWindow and MaxRecordBytes: see state.Config.
	SeenWindow     time.Duration
	MaxRecordBytes int

	// Now is the wall clock; default time.Now.
	Now func() time.Time
	// Logger; default slog.Default().
	Logger *slog.Logger
	// Registerer takes the metrics; default none.
	Registerer prometheus.Registerer
}

func (c *Config) validate() error {
	switch {
	case len(c.Brokers) == 0:
		return errors.New("no brokers given")
	case c.Stage == nil || c.Stage.Name() == "":
		return errors.New("no stage given")
	case c.Store == nil:
		return errors.New("no state store given")
	}
	orDefault(&c.CommitEvery, 100*time.Millisecond)
	orDefault(&c.CommitRecords, 50000)
	orDefault(&c.CommitBytes, 32<<20)
	orDefault(&c.SaveEvery, 5*time.Second)
	orDefault(&c.SettingsWait, 30*time.Second)
	orDefault(&c.RevokeWait, 5*time.Second)
	orDefault(&c.DrainWait, 10*time.Second)
	orDefault(&c.KeepRevoked, 10*time.Minute)
	orDefault(&c.TransactionTimeout, 15*time.Second)
	orDefault(&c.SessionTimeout, 45*time.Second)
	orDefault(&c.RestoreWait, 30*time.Second)
	orDefault(&c.CacheBytes, defaultCacheBytes)
	orDefault(&c.Members, 1)
	orDefault(&c.MaxRecordBytes, schemas.MaxRecordBytes)
	if c.CommitEvery > c.TransactionTimeout/2 {
		return fmt.Errorf("CommitEvery %s must be below half of TransactionTimeout %s", c.CommitEvery, c.TransactionTimeout)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// orDefault sets v to d unless it is positive.
func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// partitionConfig of one partition's state.
func (c *Config) partitionConfig(partition, partitions int32) state.Config {
	return state.Config{
		Stage: c.Stage, Partition: partition, Partitions: partitions, Schema: c.Schema,
		SeenWindow: c.SeenWindow, CacheBytes: c.CacheBytes, MaxRecordBytes: c.MaxRecordBytes,
		ReplayBytes: max(c.CacheBytes/(2*rebuilds()), 8<<20),
	}
}

// maxBatchBytes is the largest batch produced: what the catalogue's topics take.
const maxBatchBytes = schemas.MaxRecordBytes + schemas.MaxRecordBytes/4

// byKey partitions records by murmur2 of their key; records of the changelog keep the partition they
// were given.
func byKey(changelog string) kgo.Partitioner {
	return kgo.BasicConsistentPartitioner(func(topic string) func(*kgo.Record, int) int {
		if topic == changelog {
			return func(r *kgo.Record, _ int) int { return int(r.Partition) }
		}
		return func(r *kgo.Record, n int) int { return int(schemas.Partition(r.Key, n)) }
	})
}
