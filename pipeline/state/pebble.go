package state

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Store is the state of all stages and partitions of one process: one Pebble database.
type Store struct {
	db *pebble.DB
}

// StoreConfig of a Store.
type StoreConfig struct {
	// Dir of the database; created when missing. One process at a time.
	Dir string
	// BlockCache in bytes; default 32 MiB. The hot state is kept in front of it, by Config.CacheBytes.
	BlockCache int64
	// FS is the file system; default the machine's.
	FS vfs.FS
	// Logger takes the database's errors; default none.
	Logger *slog.Logger
}

// OpenStore opens the database, recovering what a killed process left: a consistent prefix of the
// applied batches.
func OpenStore(cfg StoreConfig) (*Store, error) {
	if cfg.Dir == "" && cfg.FS == nil {
		return nil, errors.New("open state: no directory given")
	}
	if cfg.BlockCache == 0 {
		cfg.BlockCache = 32 << 20
	}
	cache := pebble.NewCache(cfg.BlockCache)
	defer cache.Unref()
	o := &pebble.Options{
		FS:                 cfg.FS,
		FormatMajorVersion: pebble.FormatNewest,
		Cache:              cache,
		MemTableSize:       64 << 20,
		Logger:             quiet{cfg.Logger},
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	db, err := pebble.Open(cfg.Dir, o)
	if err != nil {
		return nil, fmt.Errorf("open state in %s: %w", cfg.Dir, err)
	}
	return &Store{db: db}, nil
}

// Close flushes and closes the database. No partition may be in use any more.
func (s *Store) Close() error {
	if err := s.db.Flush(); err != nil {
		return errors.Join(fmt.Errorf("flush state: %w", err), s.db.Close())
	}
	return s.db.Close()
}

// DiskBytes is the size of the database on disk.
func (s *Store) DiskBytes() uint64 { return s.db.Metrics().DiskSpaceUsage() }

// Backing returns the place of one partition of a stage. The same names return the same contents.
func (s *Store) Backing(stage string, partition int32) Backing {
	lower := binary.AppendUvarint(nil, uint64(len(stage)))
	lower = append(lower, stage...)
	lower = binary.BigEndian.AppendUint32(lower, uint32(partition))
	return &pebbleBacking{db: s.db, lower: lower, upper: after(lower)}
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
	for ok := it.First(); ok; ok = it.Next() {
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
