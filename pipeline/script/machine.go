package script

import (
	"fmt"
	"slices"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/state"
	"github.com/handoff-dev/handoff/schemas"
)

// machine runs one stage over one partition held in memory, with a commit after every record.
type machine struct {
	stage    pipeline.Stage
	mailbox  string
	settings pipeline.Settings
	back     state.Backing
	part     *state.Partition
}

// newMachine makes a machine, which stands still where something else runs the stage.
func newMachine(stage pipeline.Stage, set pipeline.Settings, runs bool) (*machine, error) {
	m := &machine{stage: stage, mailbox: schemas.Mailbox(stage.Name()), settings: set, back: state.Memory()}
	if !runs {
		return m, nil
	}
	return m, m.restart()
}

// restart opens the partition anew from what was committed.
func (m *machine) restart() error {
	p, err := state.NewPartition(state.Config{Stage: m.stage, Partitions: 1}, m.back)
	if err != nil {
		return fmt.Errorf("open %s: %w", m.stage.Name(), err)
	}
	m.part = p
	return nil
}

// record processes one record and returns what it emitted, and why it became a dead letter if it did.
func (m *machine) record(r *pipeline.Record, wall time.Time) ([]pipeline.Emit, []state.Failure, error) {
	if err := m.part.Process(r, wall, m.settings, false); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", m.stage.Name(), err)
	}
	return m.commit(wall)
}

// reject makes the record a dead letter at its time, as one that the stage fails on.
func (m *machine) reject(r *pipeline.Record, cause error, wall time.Time) ([]pipeline.Emit, []state.Failure, error) {
	if err := m.part.Advance(r.Time, m.settings, false); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", m.stage.Name(), err)
	}
	if err := m.part.Reject(r, cause, m.settings); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", m.stage.Name(), err)
	}
	return m.commit(wall)
}

// advance moves the clock and fires what is due.
func (m *machine) advance(wall time.Time) ([]pipeline.Emit, []state.Failure, error) {
	if err := m.part.Advance(wall, m.settings, false); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", m.stage.Name(), err)
	}
	return m.commit(wall)
}

func (m *machine) commit(wall time.Time) ([]pipeline.Emit, []state.Failure, error) {
	emits := slices.Clone(m.part.TakeEmits())
	failures := slices.Clone(m.part.TakeFailures())
	if !m.part.Touched() {
		return emits, failures, nil
	}
	m.part.Seal(func(_, _ []byte) {})
	m.part.Committed(0)
	if err := m.part.Save(wall); err != nil {
		return nil, nil, fmt.Errorf("commit %s: %w", m.stage.Name(), err)
	}
	return emits, failures, nil
}

// calls returns the pending calls, in the order of their creation.
func (m *machine) calls() ([]pipeline.PendingCall, error) { return m.part.PendingCalls() }

// committed reads a machine's state between records; it implements pipeline.Reader.
type committed struct{ m *machine }

func (c committed) Get(_ int32, key []byte, name string) ([]byte, bool, error) {
	return state.ReadEntry(c.m.back, key, name)
}

func (c committed) Scan(_ int32, key []byte, prefix string, fn func(name string, value []byte) bool) error {
	return state.ScanEntries(c.m.back, key, prefix, fn)
}

func (c committed) Calls(partition int32, key []byte) ([]pipeline.PendingCall, error) {
	return state.ReadCalls(c.m.back, partition, key)
}

func (c committed) Settings() pipeline.Settings { return c.m.settings }
func (c committed) Behind(int32) time.Duration  { return 0 }
func (c committed) Lease(int32) bool            { return true }
