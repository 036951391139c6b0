package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// SettingsConfig of a Settings table.
type SettingsConfig struct {
	Connection
	// Logger; default slog.Default().
	Logger *slog.Logger
	// Registerer takes the metrics; default none.
	Registerer prometheus.Registerer
}

// Settings is the table of shop settings, read from its topic. It is safe for concurrent use.
type Settings struct {
	client *kgo.Client
	log    *slog.Logger
	bad    prometheus.Counter
	cancel context.CancelFunc
	done   chan struct{}
	read   atomic.Bool // to the end, once
	told   time.Time   // when it was told last that the table cannot be read

	mu       sync.RWMutex
	versions map[shopVersion]*settings.Shop // guarded by mu; a version, once there, never changes
	current  map[string]uint64              // guarded by mu
	waiting  map[string]uint64              // guarded by mu; current ones whose version is not there yet
	reported map[string]struct{}            // guarded by mu; keys of bad documents
	changed  chan struct{}                  // guarded by mu; closed at the next change
}

type shopVersion struct {
	shop    string
	version uint64
}

// OpenSettings reads the table to its end, waiting for the broker until ctx ends, and goes on following
// it until Close.
func OpenSettings(ctx context.Context, cfg SettingsConfig) (*Settings, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	client, err := kgo.NewClient(cfg.options("handoff-settings",
		kgo.ConsumeTopics(schemas.TopicSettings),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // reading it again does no harm
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords())...)
	if err != nil {
		return nil, fmt.Errorf("configure settings client: %w", err)
	}
	follow, cancel := context.WithCancel(context.Background())
	t := newSettings(cfg)
	t.client, t.cancel = client, cancel
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(t.bad); err != nil {
			cancel()
			closeConsumer(client, schemas.TopicSettings)
			return nil, fmt.Errorf("register metrics of settings: %w", err)
		}
	}
	if err := t.readToEnd(ctx); err != nil {
		cancel()
		closeConsumer(client, schemas.TopicSettings)
		return nil, fmt.Errorf("read settings: %w", err)
	}
	t.read.Store(true)
	go t.follow(follow)
	return t, nil
}

func newSettings(cfg SettingsConfig) *Settings {
	return &Settings{
		log: cfg.Logger, done: make(chan struct{}), changed: make(chan struct{}),
		bad:      prometheus.NewCounter(prometheus.CounterOpts{Name: "handoff_bad_settings_total", Help: "Settings records that could not be read."}),
		versions: map[shopVersion]*settings.Shop{}, current: map[string]uint64{}, waiting: map[string]uint64{},
		reported: map[string]struct{}{},
	}
}

// Close stops following. The table keeps what it has.
func (t *Settings) Close() {
	t.cancel()
	<-t.done
	closeConsumer(t.client, schemas.TopicSettings)
}

// At implements pipeline.Settings.
func (t *Settings) At(shop string, version uint64) (*settings.Shop, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if s := t.versions[shopVersion{shop, version}]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("settings of %s, version %d: %w", shop, version, pipeline.ErrSettingsPending)
}

// Current implements pipeline.Settings.
func (t *Settings) Current(shop string) (*settings.Shop, uint64, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	version, ok := t.current[shop]
	if !ok {
		return nil, 0, fmt.Errorf("settings of %s: %w", shop, pipeline.ErrSettingsPending)
	}
	return t.versions[shopVersion{shop, version}], version, nil
}

// Shops returns the current version of every shop.
func (t *Settings) Shops() map[string]*settings.Shop {
	t.mu.RLock()
	defer t.mu.RUnlock()
	all := make(map[string]*settings.Shop, len(t.current))
	for shop, version := range t.current {
		all[shop] = t.versions[shopVersion{shop, version}]
	}
	return all
}

// Changed is closed when the table changes next.
func (t *Settings) Changed() <-chan struct{} {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.changed
}

// settingsQuiet is how long nothing may come before the end counts as read although its very last
// records were compacted away.
const settingsQuiet = time.Second

// settingsTell is how often it is told that the cluster, or its topic, is waited for.
const settingsTell = time.Minute

// settingsAgain is how soon it is tried again to read the table where that failed.
const settingsAgain = 500 * time.Millisecond

func (t *Settings) readToEnd(ctx context.Context) error {
	var left map[int32]int64
	for {
		var err error
		if left, err = t.ends(ctx); err == nil {
			break
		}
		if err := t.wait(ctx, err); err != nil {
			return err
		}
	}
	for len(left) > 0 {
		poll, cancel := context.WithTimeout(ctx, settingsQuiet)
		fetches := t.client.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.apply(fetches)
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		})
		if fetches.NumRecords() > 0 {
			continue
		}
		if err := pollError(fetches); err != nil {
			if err := t.wait(ctx, err); err != nil {
				return err
			}
			continue
		}
		if _, err := t.ends(ctx); err == nil { // the broker is there, so nothing more comes
			return nil
		}
	}
	return nil
}

// wait returns after a moment, or the error of what waiting does not mend.
func (t *Settings) wait(ctx context.Context, err error) error {
	if shutOut(err) || Refused(err) {
		return fmt.Errorf("the Kafka cluster cannot be used: %w", err)
	}
	t.tell("waiting for the settings topic", err)
	if sleep(ctx, settingsAgain) != nil {
		return errors.Join(ctx.Err(), err)
	}
	return nil
}

// tell warns, not too often.
func (t *Settings) tell(what string, err error) {
	if time.Since(t.told) >= settingsTell {
		t.told = time.Now()
		t.log.Warn(what, "error", err)
	}
}

// endsOf returns the end of every partition that is not empty.
func (t *Settings) ends(ctx context.Context) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	all, err := spans(ctx, kadm.NewClient(t.client), schemas.TopicSettings)
	return endsOf(all), err
}

func (t *Settings) follow(ctx context.Context) {
	defer close(t.done)
	for ctx.Err() == nil {
		fetches := t.client.PollFetches(ctx)
		t.apply(fetches)
		if err := pollError(fetches); err != nil && fetches.NumRecords() == 0 {
			t.tell("the settings table cannot be read: changes of settings are not known here", err)
			_ = sleep(ctx, 100*time.Millisecond) // the client retries by itself
		}
	}
}

func (t *Settings) apply(fetches kgo.Fetches) {
	if fetches.NumRecords() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fetches.EachRecord(func(r *kgo.Record) {
		if r.Attrs.IsControl() {
			return
		}
		if err := t.applyOne(r.Key, r.Value); err != nil {
			t.bad.Inc()
			if _, again := t.reported[string(r.Key)]; !again {
				t.reported[string(r.Key)] = struct{}{}
				t.log.Error("settings record ignored", "key", string(r.Key), "offset", r.Offset, "error", err)
			}
		}
	})
	close(t.changed)
	t.changed = make(chan struct{})
}

// applyOne takes a record: "shop|<version>" brings a version, "shop|current" names the one to use from
// now on and brings it too. A shop is deleted by a deleted "shop|current".
func (t *Settings) applyOne(key, value []byte) error {
	shop, what, ok := strings.Cut(string(key), "|")
	if !ok {
		return fmt.Errorf("key %q: want shop|version or shop|current", key)
	}
	if value == nil {
		if what == "current" {
			delete(t.current, shop)
			delete(t.waiting, shop)
		}
		return nil // versions in use stay readable
	}
	var record handoffv1.Record
	if err := proto.Unmarshal(value, &record); err != nil {
		return fmt.Errorf("not a record: %w", err)
	}
	body := record.GetSettings()
	if body == nil {
		return errors.New("has no settings in it")
	}
	if what != "current" && what != strconv.FormatUint(body.GetVersion(), 10) {
		return fmt.Errorf("key %q brings version %d", key, body.GetVersion())
	}
	id := shopVersion{shop, body.GetVersion()}
	if t.versions[id] == nil {
		if len(body.GetDocument()) == 0 && what == "current" {
			t.waiting[shop] = id.version
			return nil
		}
		parsed, err := settings.Parse(body.GetDocument())
		if err != nil {
			return err
		}
		if parsed.Shop != shop {
			return fmt.Errorf("key %q brings settings of %q", key, parsed.Shop)
		}
		t.versions[id] = parsed
	}
	if what == "current" || t.waiting[shop] == id.version {
		t.current[shop] = id.version
		delete(t.waiting, shop)
	}
	return nil
}
