package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// loadPrefix begins the names of files that a load has written and the database has not taken yet.
const loadPrefix = "load-"

// loadFileBytes is about how large such a file becomes: a file's filter and index are read whole.
const loadFileBytes = 8 << 20

// pebbleLoad sorts writes and gives them to the database as files, which neither its log nor its memtables
// see: several times faster than a batch. It implements Batch for distinct keys of less than 4 GiB in all.
type pebbleLoad struct {
	of     *pebbleBacking
	memory []byte // keys with their values
	writes []loadWrite
	used   byte // of what was read ahead, so that reading is not left out
	err    error
}

// loadWrite is one write: its key begins at in pebbleLoad.memory, its value at value.
type loadWrite struct {
	// short is what follows in the key after what all keys begin with.
	short          uint64
	at, value, end uint32
	kind           byte // the key's first byte
	deleted        bool
}

// digit is a byte of what writes are sorted by, from the last one on.
func (w *loadWrite) digit(at int) byte {
	if at == loadDigits-1 {
		return w.kind
	}
	return byte(w.short >> (8 * at))
}

// loadDigits are those of short, and the kind.
const loadDigits = 8 + 1

func (l *pebbleLoad) Set(key, value []byte) { l.add(key, value, false) }

func (l *pebbleLoad) Delete(key []byte) { l.add(key, nil, true) }

func (l *pebbleLoad) add(key, value []byte, deleted bool) {
	at := len(l.memory)
	l.memory = append(append(l.memory, key...), value...)
	l.writes = append(l.writes, loadWrite{at: uint32(at), value: uint32(at + len(key)), end: uint32(len(l.memory)), kind: key[0], deleted: deleted})
}

// DeleteRange fails: a load is of single keys.
func (l *pebbleLoad) DeleteRange(lower, _ []byte) {
	if l.err == nil {
		l.err = fmt.Errorf("load state: a range from %q cannot be removed by a load", lower)
	}
}

func (l *pebbleLoad) key(w *loadWrite) []byte { return l.memory[w.at:w.value] }

// Apply writes the files, which are on the disk when it returns, and has the database take all of them at
// once.
func (l *pebbleLoad) Apply() error {
	if l.err != nil || len(l.writes) == 0 {
		return l.err
	}
	l.sort()
	var files []string
	for rest := l.writes; len(rest) > 0; {
		name, n, err := l.file(rest)
		if name != "" {
			files = append(files, name)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("load state: %w", err), l.of.store.remove(files))
		}
		rest = rest[n:]
	}
	if err := l.of.db.Ingest(context.Background(), files); err != nil {
		return errors.Join(fmt.Errorf("load state: %w", err), l.of.store.remove(files))
	}
	return nil
}

// sort puts the writes in the order of their keys. Keys of a stage begin alike, so whole ones are compared
// only where the eight bytes after that are the same.
func (l *pebbleLoad) sort() {
	first, common := l.key(&l.writes[0]), int(l.writes[0].value-l.writes[0].at)
	for i := range l.writes {
		key := l.key(&l.writes[i])
		if key[0] == kindOwner && first[0] != kindOwner {
			first, common = key, len(key)
		}
		if key[0] != first[0] {
			continue // of another kind: few are
		}
		n := 0
		for n < min(common, len(key)) && key[n] == first[n] {
			n++
		}
		common = n
	}
	for i := range l.writes {
		w := &l.writes[i]
		var short [8]byte
		if key := l.key(w); key[0] == first[0] {
			copy(short[:], key[common:])
		}
		w.short = binary.BigEndian.Uint64(short[:])
	}
	l.sortShort()
	for rest := l.writes; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].short == rest[0].short && rest[n].kind == rest[0].kind {
			n++
		}
		if n > 1 {
			slices.SortFunc(rest[:n], func(a, b loadWrite) int {
				return bytes.Compare(l.memory[a.at:a.value], l.memory[b.at:b.value])
			})
		}
		rest = rest[n:]
	}
}

// sortShort sorts by kind, then by short, a byte at a time from the last one: most bytes are the same in all
// keys or of few values, and a comparison would be a miss of the processor's cache.
func (l *pebbleLoad) sortShort() {
	writes, other := l.writes, make([]loadWrite, len(l.writes))
	var count [loadDigits][256]int
	for i := range writes {
		for at := range loadDigits {
			count[at][writes[i].digit(at)]++
		}
	}
	for at := range loadDigits {
		next := &count[at] // where the next one of a digit goes
		if next[writes[0].digit(at)] == len(writes) {
			continue // all have the same
		}
		sum := 0
		for d := range next {
			next[d], sum = sum, sum+next[d]
		}
		for i := range writes {
			d := writes[i].digit(at)
			other[next[d]] = writes[i]
			next[d]++
		}
		writes, other = other, writes
	}
	l.writes = writes
}

// file writes the first of the sorted writes to a file and returns its name and how many they are. The name
// is also returned with an error, once there may be a file.
func (l *pebbleLoad) file(writes []loadWrite) (name string, n int, err error) {
	s := l.of.store
	name = s.fs.PathJoin(s.dir, loadPrefix+strconv.FormatUint(s.loads.Add(1), 10))
	f, err := s.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return "", 0, err
	}
	// As for the first level: in a file for the last one, deletions would count as done.
	options := s.options.MakeWriterOptions(0, l.of.db.TableFormat())
	options.DisableValueBlocks = true // as in what Pebble writes itself
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), options)
	key := bytes.Clone(l.of.lower)
	for bytesIn := 0; n < len(writes) && bytesIn < loadFileBytes; n++ {
		if n%AheadKeys == 0 {
			l.expect(writes[n:min(n+AheadKeys, len(writes))])
		}
		write := &writes[n]
		bytesIn += int(write.end - write.at)
		key = append(key[:len(l.of.lower)], l.key(write)...)
		if write.deleted {
			err = w.Delete(key)
		} else {
			err = w.Set(key, l.memory[write.value:write.end])
		}
		if err != nil {
			return name, n, errors.Join(err, w.Close())
		}
	}
	return name, n, w.Close()
}

// expect asks memory at once for what writes need: in the order of keys one lies anywhere, and waits for it alone.
func (l *pebbleLoad) expect(writes []loadWrite) {
	for i := range writes {
		l.used += l.memory[writes[i].at]
	}
}

// remove takes back files that the database did not take.
func (s *Store) remove(files []string) (err error) {
	for _, name := range files {
		err = errors.Join(err, s.fs.Remove(name))
	}
	return err
}

// removeLoads takes back what a killed process left of its loads.
func removeLoads(fs vfs.FS, dir string) error {
	files, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range files {
		if strings.HasPrefix(name, loadPrefix) {
			err = errors.Join(err, fs.Remove(fs.PathJoin(dir, name)))
		}
	}
	return err
}
