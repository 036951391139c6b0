package script

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
)

// machine runs one stage over one partition held in maps: the plainest thing that keeps pipeline's
// promises, and so also what a runner can be compared with.
type machine struct {
	stage    pipeline.Stage
	settings pipeline.Settings
	entries  map[string]map[string][]byte // key, name
	timers   map[string]map[string]time.Time
	seen     map[string]time.Time
	calls    []pipeline.PendingCall
	now      time.Time
	window   time.Duration

	key     string
	undo    []func()
	effects pipeline.Effects
}

func newMachine(stage pipeline.Stage, set pipeline.Settings) *machine {
	return &machine{
		stage: stage, settings: set, window: 31 * 24 * time.Hour,
		entries: map[string]map[string][]byte{}, timers: map[string]map[string]time.Time{}, seen: map[string]time.Time{},
	}
}

// record processes one record and returns what it emitted; a failing one returns the error and the
// effects of its failure alone.
func (m *machine) record(r *pipeline.Record, now time.Time) ([]pipeline.Emit, error) {
	m.advance(now)
	in := &pipeline.Input{Key: r.Key, Record: r, Now: m.now, Settings: m.settings}
	err := m.process(in)
	if err == nil {
		return m.commit(), nil
	}
	if f, ok := m.stage.(pipeline.FailureHandler); ok && !errors.Is(err, pipeline.ErrSettingsPending) {
		f.Failed(in, fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset), err, &m.effects)
	}
	return m.commit(), err
}

// due returns the earliest timer, or false.
func (m *machine) due() (key, name string, at time.Time, ok bool) {
	for k, byName := range m.timers {
		for n, t := range byName {
			if !ok || t.Before(at) || (t.Equal(at) && (k < key || (k == key && n < name))) {
				key, name, at, ok = k, n, t, true
			}
		}
	}
	return key, name, at, ok
}

// fire fires one timer that came due.
func (m *machine) fire(key, name string, at time.Time) ([]pipeline.Emit, error) {
	delete(m.timers[key], name)
	m.advance(at)
	in := &pipeline.Input{Key: []byte(key), Timer: &pipeline.Timer{Name: name, At: at}, Now: at, Settings: m.settings}
	err := m.process(in)
	return m.commit(), err
}

func (m *machine) advance(now time.Time) {
	if now.After(m.now) {
		m.now = now
	}
}

func (m *machine) process(in *pipeline.Input) (err error) {
	m.key, m.undo = string(in.Key), m.undo[:0]
	m.effects.Reset()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			for _, u := range slices.Backward(m.undo) {
				u()
			}
			m.effects.Reset()
		}
	}()
	return m.stage.Process(in, m, &m.effects)
}

// commit makes timers and calls real and returns the emitted records.
func (m *machine) commit() []pipeline.Emit {
	for _, t := range m.effects.Timers {
		if m.timers[m.key] == nil {
			m.timers[m.key] = map[string]time.Time{}
		}
		if t.At.IsZero() {
			delete(m.timers[m.key], t.Name)
		} else {
			m.timers[m.key][t.Name] = t.At
		}
	}
	for _, c := range m.effects.Calls {
		p := pipeline.PendingCall{Key: []byte(m.key), Call: c}
		if i := m.indexOf(c.ID); i >= 0 {
			m.calls[i] = p
		} else {
			m.calls = append(m.calls, p)
		}
	}
	for _, id := range m.effects.Ended {
		if i := m.indexOf(id); i >= 0 {
			m.calls = slices.Delete(m.calls, i, i+1)
		}
	}
	return slices.Clone(m.effects.Emits)
}

func (m *machine) indexOf(id string) int {
	return slices.IndexFunc(m.calls, func(c pipeline.PendingCall) bool { return c.Call.ID == id })
}

// Get implements pipeline.State.
func (m *machine) Get(name string) ([]byte, bool) {
	v, ok := m.entries[m.key][name]
	return v, ok
}

// Put implements pipeline.State.
func (m *machine) Put(name string, value []byte) { m.set(m.key, name, value, true) }

// Delete implements pipeline.State.
func (m *machine) Delete(name string) { m.set(m.key, name, nil, false) }

func (m *machine) set(key, name string, value []byte, keep bool) {
	old, had := m.entries[key][name]
	m.undo = append(m.undo, func() {
		if had {
			m.entries[key][name] = old
		} else {
			delete(m.entries[key], name)
		}
	})
	if m.entries[key] == nil {
		m.entries[key] = map[string][]byte{}
	}
	if keep {
		m.entries[key][name] = value
	} else {
		delete(m.entries[key], name)
	}
}

// Scan implements pipeline.State.
func (m *machine) Scan(prefix string, fn func(name string, value []byte) bool) {
	scan(m.entries[m.key], prefix, fn)
}

func scan(entries map[string][]byte, prefix string, fn func(name string, value []byte) bool) {
	var names []string
	for n := range entries {
		if strings.HasPrefix(n, prefix) {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	for _, n := range names {
		if !fn(n, entries[n]) {
			return
		}
	}
}

// Seen implements pipeline.State.
func (m *machine) Seen(id []byte, at time.Time) bool {
	k := string(id)
	if last, ok := m.seen[k]; ok && m.now.Sub(last) < m.window {
		return true
	}
	m.seen[k] = at
	m.undo = append(m.undo, func() { delete(m.seen, k) })
	return false
}

// committed reads a machine's state between records; it implements pipeline.Reader.
type committed struct{ m *machine }

func (c committed) Get(_ int32, key []byte, name string) ([]byte, bool, error) {
	v, ok := c.m.entries[string(key)][name]
	return v, ok, nil
}

func (c committed) Scan(_ int32, key []byte, prefix string, fn func(name string, value []byte) bool) error {
	scan(c.m.entries[string(key)], prefix, fn)
	return nil
}

func (c committed) Settings() pipeline.Settings { return c.m.settings }
func (c committed) Behind(int32) time.Duration  { return 0 }
func (c committed) Lease(int32) bool            { return true }
