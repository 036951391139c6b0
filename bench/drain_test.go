package main

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/schemas"
)

// TestMain lets the test's program be the processes that a bench starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == sideCommand || os.Args[1] == fakeCommand) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		err := dispatch(ctx, os.Args[1:])
		cancel()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestDrain runs the Go sides of both machines, in processes of their own, on an in-memory broker, and
// finds nothing left behind.
func TestDrain(t *testing.T) {
	b, err := openBench(t.Context(), common{broker: "kfake"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}()
	for _, machine := range []string{machineCount, machineDedupe} {
		w := workload{Machine: machine, Records: 300_000, Warm: 20_000, Keys: 1000, Shops: 3, ValueBytes: 64, Partitions: 4}
		in, err := b.fillInput(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		for _, side := range []string{sidePass, sideHandoff} {
			s, err := b.spec(t.Context(), in, side)
			if err != nil {
				t.Fatal(err)
			}
			s.CommitMillis = 20 // many commits in little input
			d, err := b.drain(t.Context(), in, s, 2*time.Minute)
			if err != nil {
				t.Fatalf("%s: %v", machine, err)
			}
			if d.rate <= 0 || d.memory <= 0 || d.curve[len(d.curve)-1].committed != int64(w.Records) {
				t.Errorf("%s, %s: %.0f records/s, %d bytes, %v", machine, side, d.rate, d.memory, d.curve[len(d.curve)-1])
			}
			if _, err := os.Stat(s.Dir); !os.IsNotExist(err) {
				t.Errorf("%s, %s: the state is still there: %v", machine, side, err)
			}
		}
		if err := b.cluster.remove(t.Context(), in.name); err != nil {
			t.Fatal(err)
		}
	}
	topics, err := b.cluster.topics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(topics) != 1 || topics[0] != schemas.TopicDeadLetters {
		t.Errorf("topics %v are there, want %s alone", topics, schemas.TopicDeadLetters)
	}
}

// TestFirstTextsAreEachAnothers: the pipeline's input is decodable and every record is of another person.
func TestFirstTextsAreEachAnothers(t *testing.T) {
	in := chainInput{topic: schemas.TopicClassify}
	keys := map[string]bool{}
	for i := range 1000 {
		r, err := in.record(i, time.Unix(1_800_000_000, int64(i)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := schemas.Decode(r.Key, r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if keys[string(r.Key)] || got.GetReceivedAt().AsTime() != time.Unix(1_800_000_000, int64(i)).UTC() {
			t.Errorf("record %d: key %s, received at %s", i, r.Key, got.GetReceivedAt().AsTime())
		}
		keys[string(r.Key)] = true
	}
}
