package kafka_test

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/pipeline/state"
)

// visits counts how often each key came.
type visits struct{}

func (visits) Name() string { return "visits" }
func (visits) Process(in *pipeline.Input, st pipeline.State, fx *pipeline.Effects) error {
	n, _ := st.Get("n")
	st.Put("n", append([]byte("+"), n...))
	fx.Emit("counted", in.Key, append([]byte("+"), n...))
	return nil
}

// A stage of one's own, run exactly once: its state survives, and its output has every change once.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	broker := try(kfake.NewCluster())
	defer broker.Close()
	// Topics must take large batches, and a changelog must not forget.
	for topic, policy := range map[string]string{"handoff.visits": "delete", "handoff.visits.changelog": "compact", "handoff.dead-letters": "delete", "counted": "delete"} {
		try(0, broker.CreateTopic(topic, 4, map[string]string{"max.message.bytes": "1310720", "cleanup.policy": policy, "delete.retention.ms": "604800000", "retention.ms": "1209600000"}))
	}
	to := kafka.Connection{Brokers: broker.ListenAddrs()}
	client := try(to.NewClient("example", kgo.RecordPartitioner(kafka.ByKey()), kgo.DefaultProduceTopic("handoff.visits"), kgo.ConsumeTopics("counted")))
	defer client.Close()
	try(0, client.ProduceSync(ctx, kgo.KeyStringRecord("ann", ""), kgo.KeyStringRecord("ann", "")).FirstErr())
	store := try(state.OpenStore(state.StoreConfig{Dir: "state", FS: vfs.NewMem()}))
	ended := make(chan error)
	go func() { ended <- try(kafka.New(kafka.Config{Connection: to, Stage: visits{}, Store: store})).Run(ctx) }()
	for n := 0; n < 2; {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { n++; fmt.Printf("%s %s\n", r.Key, r.Value) })
	}
	stop()
	fmt.Println(<-ended, store.Close())
	// Output:
	// ann +
	// ann ++
	// <nil> <nil>
}

func try[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
