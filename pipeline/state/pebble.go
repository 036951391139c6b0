package state

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Store is the state of all stages and partitions of one process: one Pebble database.
type Store struct {
	db      *pebble.DB
	lock    *pebble.Lock // of the directory
	fs      vfs.FS
	dir     string
	options *pebble.Options
	loads   atomic.Uint64 // files that loads have written
	mu      sync.Mutex
	cursors map[*pebbleCursor]struct{} // guarded by mu; open ones
}

// StoreConfig of a Store.
type StoreConfig struct {
	// Dir of the database; created when missing. One process at a time.
	Dir string
	// BlockCache in bytes; default StageBlockCache, which is good for one stage. The hot state is kept in front of it, by
	// Config.CacheBytes: what is read here again and again are filters and indexes.
	BlockCache int64
	// FS is the file system; default the machine's.
	FS vfs.FS
	// Logger takes the database's errors; default none.
	Logger *slog.Logger
}

// StageBlockCache is the block cache that the state of one stage wants, in bytes.
const StageBlockCache = 16 << 20

// Writes fill one memtable while another is written to disk.
const (
	memTables     = 2
	memTableBytes = 64 << 20
)

// OpenStore opens the database, recovering what a killed process left: a consistent prefix of the
// applied batches.
func OpenStore(cfg StoreConfig) (*Store, error) {
	if cfg.Dir == "" && cfg.FS == nil {
		return nil, errors.New("open state: no directory given")
	}
	fs := cfg.FS
	if fs == nil {
		fs = vfs.Default
	}
	if cfg.BlockCache == 0 {
		cfg.BlockCache = StageBlockCache
	}
	// Pebble takes the memtables' memory out of the cache's: without it there would be none left for blocks.
	cache := pebble.NewCache(cfg.BlockCache + memTables*memTableBytes)
	defer cache.Unref()
	o := &pebble.Options{
		FS:                          fs,
		FormatMajorVersion:          pebble.FormatNewest,
		Cache:                       cache,
		Comparer:                    comparer(),
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: memTables,
		Logger:                      quiet{cfg.Logger},
	}
	for i := range o.TargetFileSizes {
		// A file's filter and index are read whole, and have to fit the block cache beside others.
		o.TargetFileSizes[i] = min(int64(2<<20)<<i, 8<<20)
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].IndexBlockSize = 256 << 10 // one level of index
		// Keys that are not in the hot state are read one by one, and each would unpack a block.
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	// Pebble takes what follows an owner for versions of one key, and would put the values of all but the first
	// into other blocks: each of them one more to write and to read.
	o.Experimental.SpanPolicyFunc = func([]byte) (pebble.SpanPolicy, []byte, error) {
		return pebble.SpanPolicy{DisableValueSeparationBySuffix: true}, nil, nil
	}
	lock, err := lockDir(cfg)
	if err == nil {
		if err = removeLoads(fs, cfg.Dir); err != nil {
			err = errors.Join(err, lock.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open state in %s: %w", cfg.Dir, err)
	}
	o.Lock = lock
	db, err := pebble.Open(cfg.Dir, o)
	if err != nil {
		return nil, fmt.Errorf("open state in %s: %w", cfg.Dir, errors.Join(err, lock.Close()))
	}
	return &Store{db: db, lock: lock, fs: fs, dir: cfg.Dir, options: o, cursors: map[*pebbleCursor]struct{}{}}, nil
}

// comparer orders keys by their bytes, and tells filters which part of a key is looked for: of an
// entry's, up to the record key, since entries of one record key are read together.
func comparer() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "handoff.state.v2"
	c.Split = splitOwner
	// Shortened keys of index blocks would be split elsewhere.
	c.Separator = func(dst, a, _ []byte) []byte { return append(dst, a...) }
	c.Successor = func(dst, a []byte) []byte { return append(dst, a...) }
	return &c
}

// splitOwner returns how long the prefix of a key is: all of it, but for entries under a record key.
func splitOwner(key []byte) int {
	stage, n := binary.Uvarint(key)
	if n <= 0 || stage > uint64(len(key)) {
		return len(key)
	}
	at := n + int(stage) + 4 // the partition
	if at >= len(key) || key[at] != kindOwner {
		return len(key)
	}
	owner, n := binary.Uvarint(key[at+1:])
	if n <= 0 || owner > uint64(len(key)) {
		return len(key)
	}
	return min(at+1+n+int(owner), len(key))
}

// Close flushes and closes the database. No partition may be in use any more.
func (s *Store) Close() error {
	s.mu.Lock()
	open := slices.Collect(maps.Keys(s.cursors))
	s.mu.Unlock()
	var err error
	for _, c := range open {
		err = errors.Join(err, c.Close())
	}
	if flush := s.db.Flush(); flush != nil {
		err = errors.Join(err, fmt.Errorf("flush state: %w", flush))
	}
	return errors.Join(err, s.db.Close(), s.lock.Close())
}

// DiskBytes is the size of the database on disk.
func (s *Store) DiskBytes() uint64 { return s.db.Metrics().DiskSpaceUsage() }

// Backing returns the place of one partition of a stage. The same names return the same contents.
func (s *Store) Backing(stage string, partition int32) Backing {
	lower := binary.AppendUvarint(nil, uint64(len(stage)))
	lower = append(lower, stage...)
	lower = binary.BigEndian.AppendUint32(lower, uint32(partition))
	return &pebbleBacking{store: s, db: s.db, lower: lower, upper: after(lower)}
}

// after returns the smallest key greater than every key that begins with prefix; nil when there is none.
func after(prefix []byte) []byte {
	upper := slices.Clone(prefix)
	for i := len(upper) - 1; i >= 0; i-- {
		if upper[i]++; upper[i] != 0 {
			return upper[:i+1]
		}
	}
	return nil
}

type pebbleBacking struct {
	store        *Store
	db           *pebble.DB
	lower, upper []byte // the partition's span; lower is every key's prefix
}

func (b *pebbleBacking) key(key []byte) []byte { return slices.Concat(b.lower, key) }

func (b *pebbleBacking) Get(key []byte) ([]byte, bool, error) {
	v, closer, err := b.db.Get(b.key(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read state: %w", err)
	}
	v = append([]byte{}, v...)
	return v, true, closer.Close()
}

func (b *pebbleBacking) Scan(lower, upper []byte, fn func(key, value []byte) bool) error {
	o := &pebble.IterOptions{LowerBound: b.key(lower), UpperBound: b.upper}
	if upper != nil {
		o.UpperBound = b.key(upper)
	}
	it, err := b.db.NewIter(o)
	if err != nil {
		return fmt.Errorf("scan state: %w", err)
	}
	first := it.First
	if owner := splitOwner(o.LowerBound); owner < len(o.LowerBound) && bytes.HasPrefix(o.UpperBound, o.LowerBound[:owner]) {
		// All of it is of one record key: filters tell which files need not be looked at.
		first = func() bool { return it.SeekPrefixGE(o.LowerBound) }
	}
	for ok := first(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(fmt.Errorf("scan state: %w", err), it.Close())
		}
		if !fn(it.Key()[len(b.lower):], value) {
			break
		}
	}
	if err := it.Close(); err != nil {
		return fmt.Errorf("scan state: %w", err)
	}
	return nil
}

func (b *pebbleBacking) Before(lower, upto []byte) (value []byte, err error) {
	// The upper bound is exclusive: one zero byte makes it include upto.
	it, err := b.db.NewIter(&pebble.IterOptions{LowerBound: b.key(lower), UpperBound: append(b.key(upto), 0)})
	if err != nil {
		return nil, fmt.Errorf("search state: %w", err)
	}
	if it.Last() {
		v, verr := it.ValueAndErr()
		value, err = slices.Clone(v), verr
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return nil, fmt.Errorf("search state: %w", err)
	}
	return value, nil
}

func (b *pebbleBacking) Cursor() (Cursor, error) {
	it, err := b.db.NewIter(&pebble.IterOptions{LowerBound: b.lower, UpperBound: b.upper})
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	c := &pebbleCursor{of: b, it: it}
	b.store.mu.Lock()
	b.store.cursors[c] = struct{}{}
	b.store.mu.Unlock()
	return c, nil
}

// pebbleCursor keeps an iterator, which costs more to make than to move.
type pebbleCursor struct {
	of  *pebbleBacking
	it  *pebble.Iterator
	key []byte
}

func (c *pebbleCursor) Prefix(prefix []byte, fn func(key, value []byte) bool) error {
	c.key = append(append(c.key[:0], c.of.lower...), prefix...)
	for ok := c.it.SeekPrefixGE(c.key); ok; ok = c.it.Next() {
		value, err := c.it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("read state: %w", err)
		}
		if !fn(c.it.Key()[len(c.of.lower):], value) {
			break
		}
	}
	if err := c.it.Error(); err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	return nil
}

func (c *pebbleCursor) Close() error {
	s := c.of.store
	s.mu.Lock()
	_, open := s.cursors[c]
	delete(s.cursors, c)
	s.mu.Unlock()
	if !open {
		return nil
	}
	if err := c.it.Close(); err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	return nil
}

func (b *pebbleBacking) Load(writes, bytes int) Batch {
	return &pebbleLoad{of: b, memory: make([]byte, 0, bytes), writes: make([]loadWrite, 0, writes)}
}

func (b *pebbleBacking) Batch() Batch { return &pebbleBatch{of: b, batch: b.db.NewBatch()} }

// Clear cuts the partition out of the database instead of writing range deletions over each other.
func (b *pebbleBacking) Clear() error {
	if err := b.db.Excise(context.Background(), pebble.KeyRange{Start: b.lower, End: b.upper}); err != nil {
		return fmt.Errorf("remove state of a partition: %w", err)
	}
	return nil
}

// pebbleBatch remembers its first error until Apply.
type pebbleBatch struct {
	of    *pebbleBacking
	batch *pebble.Batch
	key   []byte
	err   error
}

func (b *pebbleBatch) full(key []byte) []byte {
	b.key = append(append(b.key[:0], b.of.lower...), key...)
	return b.key
}

func (b *pebbleBatch) keep(err error) {
	if b.err == nil {
		b.err = err
	}
}

func (b *pebbleBatch) Set(key, value []byte) { b.keep(b.batch.Set(b.full(key), value, nil)) }

func (b *pebbleBatch) Delete(key []byte) { b.keep(b.batch.Delete(b.full(key), nil)) }

func (b *pebbleBatch) DeleteRange(lower, upper []byte) {
	b.keep(b.batch.DeleteRange(b.of.key(lower), b.of.key(upper), nil))
}

// Apply writes without waiting for the disk: Kafka has it, and a crash loses the newest batches whole.
func (b *pebbleBatch) Apply() error {
	if b.err == nil {
		b.err = b.batch.Commit(pebble.NoSync)
	}
	if err := errors.Join(b.err, b.batch.Close()); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// quiet passes Pebble's errors on and drops its reports of compactions.
type quiet struct{ log *slog.Logger }

func (quiet) Infof(string, ...any) {}

func (q quiet) Errorf(format string, args ...any) {
	if q.log != nil {
		q.log.Error("state store", "error", fmt.Sprintf(format, args...))
	}
}

// Fatalf is called when the database cannot go on: its methods must not return.
func (q quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("state store cannot go on: "+format, args...))
}
