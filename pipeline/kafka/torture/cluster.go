package torture

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/handoff-dev/handoff/pipeline/kafka/kafkatest"
)

// cluster is the Kafka under torture.
type cluster interface {
	Brokers() []string
	// Kill, Start, Stop, Pause and Resume a node, from 1.
	Kill(n int) error
	Start(ctx context.Context, n int) error
	Stop(ctx context.Context, n int) error
	Pause(n int) error
	Resume(n int) error
	Close() error
}

// realKafka starts Apache Kafka.
func realKafka(ctx context.Context, version string, nodes, port int, dir string, progress io.Writer) (cluster, error) {
	return kafkatest.Start(ctx, kafkatest.Config{Version: version, Nodes: nodes, Port: port, Dir: dir, Java: []string{"-XX:TieredStopAtLevel=1"}, Progress: progress})
}

// fakeKafka is a kfake in this process: it cannot be killed, and is no proof of anything but the
// harness.
type fakeKafka struct{ *kfake.Cluster }

func newFakeKafka() (cluster, error) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Millisecond))
	if err != nil {
		return nil, err
	}
	return fakeKafka{c}, nil
}

var errFake = errors.New("kfake's brokers cannot be killed, stopped or paused")

func (f fakeKafka) Brokers() []string              { return f.ListenAddrs() }
func (fakeKafka) Kill(int) error                   { return errFake }
func (fakeKafka) Start(context.Context, int) error { return errFake }
func (fakeKafka) Stop(context.Context, int) error  { return errFake }
func (fakeKafka) Pause(int) error                  { return errFake }
func (fakeKafka) Resume(int) error                 { return errFake }
func (f fakeKafka) Close() error                   { f.Cluster.Close(); return nil }
