package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/kafka"
)

// row is a fact as the outside store keeps it.
type row struct {
	Partition int32
	Offset    int64
	Sum       uint64 // of key and value
}

func sum(key, value []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(key)
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(value)
	return h.Sum64()
}

// table is an outside store that members of any process write to: a file per token, there whole or not
// at all. A token that is there already is not written again, as ClickHouse has it.
type table struct {
	dir   string
	traps *traps
	fault string
}

func (t *table) Schema() uint32 { return 1 }

// Write stores the rows of one intent.
func (t *table) Write(_ context.Context, in pipeline.Intent, records []pipeline.Record) error {
	if err := t.traps.step(placeSink, "Write", "", before); err != nil {
		return err
	}
	name := strings.ReplaceAll(in.Token(), "/", "_")
	if t.fault == "rows" {
		name = fmt.Sprintf("%s_%d", name, time.Now().UnixNano())
	}
	if _, err := os.Stat(filepath.Join(t.dir, name)); err == nil {
		return nil
	}
	rows := make([]row, len(records))
	for i, r := range records {
		rows[i] = row{r.Partition, r.Offset, sum(r.Key, r.Value)}
	}
	if err := t.insert(name, rows); err != nil {
		return err
	}
	return t.traps.step(placeSink, "Write", "", after)
}

func (t *table) insert(name string, rows []row) error {
	f, err := os.CreateTemp(t.dir, "half-")
	if err != nil {
		return err
	}
	defer f.Close()
	enc := json.NewEncoder(f)
	for i, r := range rows {
		if i == len(rows)/2 {
			if err := t.traps.step(placeSink, "Write", "", during); err != nil {
				return errors.Join(err, os.Remove(f.Name()))
			}
		}
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return os.Rename(f.Name(), filepath.Join(t.dir, name))
}

// readTable returns all rows that were stored.
func readTable(dir string) ([]row, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []row
	for _, f := range files {
		if strings.HasPrefix(f.Name(), "half-") {
			continue
		}
		err := eachLine(filepath.Join(dir, f.Name()), func(line []byte) error {
			var r row
			if err := json.Unmarshal(line, &r); err != nil {
				return err
			}
			all = append(all, r)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func eachLine(path string, fn func(line []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := fn(lines.Bytes()); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
	}
	return lines.Err()
}

// made is one outside call that was made.
type made struct {
	ID, Body string
}

// outside makes the stage's calls: it writes each down, and posts its result to the mailbox.
type outside struct {
	path    string
	mailbox string
	traps   *traps
	steps   *steps
	post    *kafka.Producer

	life context.Context
	work sync.WaitGroup
	mu   sync.Mutex // of the file
}

func (o *outside) Assigned(_ int32, _ pipeline.Reader, inherited []pipeline.PendingCall) {
	_ = o.traps.step(placeCaller, "Assigned", "", before)
	o.steps.assigned()
	o.make(inherited)
}

func (o *outside) Committed(_ int32, stored, _ []pipeline.PendingCall) {
	_ = o.traps.step(placeCaller, "Committed", "", before)
	o.make(stored)
	_ = o.traps.step(placeCaller, "Committed", "", after)
}

func (o *outside) Revoked(context.Context, int32) {
	_ = o.traps.step(placeCaller, "Revoked", "", before)
}

func (o *outside) make(calls []pipeline.PendingCall) {
	if len(calls) == 0 {
		return
	}
	o.work.Go(func() {
		emits := make([]pipeline.Emit, 0, len(calls))
		for _, c := range calls {
			if err := o.write(made{c.Call.ID, string(c.Call.Body)}); err != nil {
				fmt.Fprintln(os.Stderr, "write a call down:", err)
				return
			}
			value, err := json.Marshal(input{Kind: kindResult, ID: c.Call.ID})
			if err != nil {
				return // never: strings
			}
			emits = append(emits, pipeline.Emit{Topic: o.mailbox, Key: c.Key, Value: value})
		}
		// The outside takes its time, so that calls are in flight whatever happens.
		select {
		case <-time.After(time.Duration(sum(calls[0].Key, nil)%400) * time.Millisecond):
		case <-o.life.Done():
			return
		}
		for i := range emits {
			emits[i].Time = time.Now()
		}
		for o.life.Err() == nil {
			if err := o.post.Produce(o.life, emits...); err == nil {
				return
			}
			// It may have arrived: a result that comes twice is told "late".
			select {
			case <-time.After(100 * time.Millisecond):
			case <-o.life.Done():
			}
		}
	})
}

func (o *outside) write(m made) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	f, err := os.OpenFile(o.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(append(raw, '\n'))
	return err
}

// readCalls returns how often each call was made, with which bodies.
func readCalls(path string) (map[string]map[string]int, error) {
	all := map[string]map[string]int{}
	err := eachLine(path, func(line []byte) error {
		var m made
		if err := json.Unmarshal(line, &m); err != nil {
			return err
		}
		if all[m.ID] == nil {
			all[m.ID] = map[string]int{}
		}
		all[m.ID][m.Body]++
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return all, err
}
