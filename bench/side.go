package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sideCommand makes this program one side's process.
const sideCommand = "side"

// sideSpec is all that a side's process is told.
type sideSpec struct {
	Side    string
	Machine string
	// Name of this run: topics, groups and transactions are named after it.
	Name    string
	Brokers []string
	// In is the input, Out the output; both are there.
	In, Out    string
	Partitions int
	// Dir for local state.
	Dir         string
	Compression string
	// CommitMillis is how often a busy side commits.
	CommitMillis int
	// CacheBytes of hot state, of all partitions together.
	CacheBytes int64
	// LowLatency says that a record's way is measured, not the throughput.
	LowLatency bool
	// Beside is what a pass-through writes with every record.
	Beside []beside
	// CPUProfile is a file to write; "" for none. Go sides only.
	CPUProfile string

	program string // another build of this program to run; "" for this one
}

// Sides; streams ones are Java, see streams.go.
const (
	sidePass           = "pass"
	sideHandoff        = "handoff"
	sideStreams        = "streams"
	sideStreamsNoCache = "streams-nocache"
	sideGoka           = "goka"
)

// group that the side's offsets are committed for.
func (s sideSpec) group() string {
	switch s.Side {
	case sideHandoff:
		return s.In // of a mailbox, named like it
	case sideGoka:
		return gokaGroup(s)
	}
	return s.Name + "-" + s.Side
}

// changelog topic of the side's counts; "" when it has none, or makes it itself.
func (s sideSpec) changelog() string {
	switch s.Side {
	case sideHandoff:
		return s.In + ".changelog"
	case sideGoka:
		return gokaGroup(s) + "-table"
	}
	return ""
}

// serveSide is a side's process: it works until ctx ends.
func serveSide(ctx context.Context, args []string) (err error) {
	var s sideSpec
	if len(args) != 1 {
		return errors.New("a side wants its specification")
	}
	if err := json.Unmarshal([]byte(args[0]), &s); err != nil {
		return fmt.Errorf("read the specification: %w", err)
	}
	if s.CPUProfile != "" {
		out, err := os.Create(s.CPUProfile)
		if err != nil {
			return fmt.Errorf("write the profile: %w", err)
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return fmt.Errorf("profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	switch s.Side {
	case sidePass:
		return passThrough(ctx, s)
	case sideHandoff:
		return runHandoff(ctx, s)
	case sideGoka:
		return runGoka(ctx, s)
	case sideChain3, sideChain5, sideWrites:
		return runChain(ctx, s)
	}
	return fmt.Errorf("no side %q", s.Side)
}

func (s sideSpec) commitEvery() time.Duration {
	return time.Duration(s.CommitMillis) * time.Millisecond
}

// compressionCodec of a compression's name.
func compressionCodec(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "", "none":
		return kgo.NoCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.CompressionCodec{}, fmt.Errorf("no compression %q", name)
}
