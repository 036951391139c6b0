package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/schemas"
)

// incarnation is one life of a runner's client: from joining the group to the first outcome that is
// not a clean commit, or to the end of Run.
type incarnation struct {
	r          *Runner
	member     int
	id         string  // of its transactions
	instance   *string // static member of the group; nil for one that is not
	client     *kgo.Client
	admin      *kadm.Client
	topicID    [16]byte // of the mailbox
	addsGroup  bool     // the broker adds a group to a transaction by itself
	partitions int32
	ctx        context.Context // ends with the incarnation; the clients live in it
	cancel     context.CancelFunc
	connected  chan struct{} // closed once the client is set
	balancer   *balancer
	asks       asks
	workers    workers
	background sync.WaitGroup

	// The loop's own.
	parts    map[int32]*part
	order    []*part // of parts, for workers
	sharedBy int32   // partitions that the cache's bound was shared by last
	shared   int64   // what was shared
	txn      openTransaction
	did      int           // records of the last transaction
	took     time.Duration // by recent commits, without what is saved after them
	ended    time.Time     // when the last commit was through
	saved    time.Time     // when all parts were saved last
	settled  time.Time     // when offsets were brought past markers last

	begin      sync.Mutex
	begun      atomic.Bool // a transaction is open at the client; set under begin
	produceErr error       // guarded by begin; first failed record
	promise    func(*kgo.Record, error)

	mu     sync.Mutex
	events []event            // guarded by mu; what the group and restores told the loop
	wake   context.CancelFunc // guarded by mu; ends the loop's poll
	known  string             // guarded by mu; the member id under which the group gave partitions
	ends   ends               // guarded by mu; newest
	// toldReset is when it was told last that the end of a reset is waited for; guarded by mu.
	toldReset time.Time

	nextDue   atomic.Int64 // earliest timer of all partitions, Unix ms
	closing   atomic.Bool
	heartbeat *heartbeats
}

// openTransaction is what the commit policy looks at.
type openTransaction struct {
	began   time.Time
	records int
}

// event is something that happened outside the loop.
type event struct {
	assigned []int32
	revoked  []int32
	restored *part
	written  *part // its sink took the intent
	err      error
}

// ends is the answer to where partitions end, asked at that time.
type ends struct {
	at     time.Time
	offset map[int32]int64
}

// incarnation runs one life of a member's client.
func (r *Runner) incarnation(ctx context.Context, member int) error {
	in := &incarnation{r: r, member: member, parts: map[int32]*part{}, heartbeat: newHeartbeats(r.cfg.Now, r.cfg.SessionTimeout),
		connected: make(chan struct{}), balancer: newBalancer(r, member)}
	in.nextDue.Store(1<<63 - 1)
	in.promise = in.produced
	// The loop ends on ctx itself; what runs beside it goes on until the last commit.
	in.ctx, in.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer in.cancel()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(r.cfg.DrainWait):
			in.cancel() // whatever the last commit waits for
		case <-in.ctx.Done():
		}
	})()
	if err := in.connect(ctx); err != nil {
		return err
	}
	in.workers.start(max(runtime.GOMAXPROCS(0)/r.cfg.Members, 1))
	defer in.workers.stop()
	in.background.Go(in.followEnds)
	if member == 0 {
		in.background.Go(in.followOthers)
	}
	err := in.loop(ctx)
	in.leave()
	in.cancel()
	in.background.Wait()
	in.release()
	if errors.Is(err, errLost) && in.heartbeat.cause() != nil {
		err = fmt.Errorf("group %s: %w: %w", r.mailbox, err, in.heartbeat.cause())
	}
	return err
}

// connect makes the client, fences what an earlier one with the same id left open, and checks the
// topics, before the group is joined.
func (in *incarnation) connect(ctx context.Context) error {
	r := in.r
	id := r.cfg.Stage.Name() + "-" + r.cfg.Instance
	if in.member > 0 {
		id += "-" + strconv.Itoa(in.member)
	}
	unique := r.cfg.Instance == ""
	if unique {
		id += strconv.FormatInt(time.Now().UnixNano(), 36)
	}
	probe, err := kgo.NewClient(r.cfg.options("handoff-"+r.cfg.Stage.Name(),
		kgo.TransactionalID(id), kgo.TransactionTimeout(r.cfg.TransactionTimeout))...)
	if err != nil {
		return fatal{fmt.Errorf("configure client: %w", err)}
	}
	in.id = id
	defer probe.Close()
	start, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	admin := kadm.NewClient(probe)
	if err := in.checkTopics(start, probe); err != nil {
		return err
	}
	if err := r.findCopies(in.partitions); err != nil {
		return err
	}
	changelogs, err := spans(start, admin, r.changelog)
	if err != nil {
		return err
	}
	r.measure(changelogs, nil)
	if in.addsGroup, err = addsGroup(start, probe); err != nil {
		return err
	}
	if err := in.watched(probe, "the end of earlier transactions", func() error {
		_, _, err := probe.ProducerID(start)
		return err
	}); err != nil {
		return fmt.Errorf("fence earlier transactions of %s: %w", id, err)
	}
	opts := in.options(id)
	if !unique {
		in.instance = &id
		opts = append(opts, kgo.InstanceID(id))
	}
	if in.client, err = kgo.NewClient(opts...); err != nil {
		return fatal{fmt.Errorf("configure client: %w", err)}
	}
	in.admin = kadm.NewClient(in.client)
	in.asks = in.newAsks()
	close(in.connected)
	return nil
}

// options of the client that polls and produces.
func (in *incarnation) options(id string) []kgo.Opt {
	r := in.r
	return r.cfg.options("handoff-"+r.cfg.Stage.Name(),
		kgo.WithContext(in.ctx),
		kgo.TransactionalID(id),
		kgo.TransactionTimeout(r.cfg.TransactionTimeout),
		kgo.RecordPartitioner(byKey(r.changelog)),
		kgo.ProducerBatchMaxBytes(maxBatchBytes),
		kgo.MaxBufferedRecords(200_000),
		kgo.ProducerLinger(20*time.Millisecond), // ended by every commit, so it costs no latency
		kgo.ConsumerGroup(schemas.Mailbox(r.cfg.Stage.Name())),
		kgo.ConsumeTopics(r.mailbox),
		kgo.Balancers(in.balancer),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(r.cfg.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, r.cfg.SessionTimeout/6)),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		// Where the group has no offset. Partitions are paused until they are placed; an offset that is a
		// number makes the client know them, so that they can be.
		kgo.ConsumeStartOffset(kgo.NewOffset().At(0)),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxPartitionBytes(1<<20),
		kgo.FetchMaxBytes(4<<20),
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.OnPartitionsAssigned(in.onAssigned),
		kgo.OnPartitionsRevoked(in.onRevoked),
		kgo.OnPartitionsLost(in.onLost),
		kgo.WithHooks(in.heartbeat),
		kgo.WithPools(&in.r.records),
	)
}

// checkTopics refuses topics that are missing or may not be used, and a changelog whose partition count is not the
// mailbox's.
func (in *incarnation) checkTopics(ctx context.Context, client *kgo.Client) error {
	topics, err := lookUp(ctx, client, in.r.needs())
	if err != nil {
		return err
	}
	mailbox, changelog := int32(len(topics[in.r.mailbox].Partitions)), int32(len(topics[in.r.changelog].Partitions))
	if mailbox != changelog {
		return fatal{fmt.Errorf("%s has %d partitions and %s has %d: the counts must be the same and never change", in.r.mailbox, mailbox, in.r.changelog, changelog)}
	}
	in.partitions, in.topicID = mailbox, topics[in.r.mailbox].TopicID
	return nil
}

// tell hands an event to the loop and wakes it.
func (in *incarnation) tell(e event) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.events = append(in.events, e)
	if in.wake != nil {
		in.wake()
	}
}

// onAssigned runs after every rebalance, also without new partitions. New ones are not fetched until
// they are restored.
//
// Another member id means that the group had forgotten this member: while it asked to join, for of all else the
// client hears before. What it is given back then was another's meanwhile, and kgo takes it for what stayed.
func (in *incarnation) onAssigned(_ context.Context, client *kgo.Client, assigned map[string][]int32) {
	<-in.connected
	member, generation := client.GroupMetadata()
	in.mu.Lock()
	in.known = cmp.Or(in.known, member)
	in.mu.Unlock()
	if !in.isStill(member, generation) {
		in.tell(event{err: errNotMember})
		return
	}
	if partitions := assigned[in.r.mailbox]; len(partitions) > 0 {
		client.PauseFetchPartitions(map[string][]int32{in.r.mailbox: partitions})
		in.tell(event{assigned: partitions})
	}
	if in.balancer.unfinished.Swap(false) {
		client.ForceRebalance()
	}
}

// onRevoked lets requests of the partitions that leave come to their end.
func (in *incarnation) onRevoked(_ context.Context, _ *kgo.Client, revoked map[string][]int32) {
	partitions := revoked[in.r.mailbox]
	if len(partitions) == 0 || in.closing.Load() {
		return
	}
	in.giveUp(partitions)
	in.tell(event{revoked: partitions})
}

// onLost is a revocation that came too late to wait for anything.
func (in *incarnation) onLost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	in.heartbeat.lost()
	if in.closing.Load() {
		return
	}
	in.tell(event{revoked: lost[in.r.mailbox], err: errLost})
}

var errLost = errors.New("the group lost this member")

// giveUp ends the partitions at the Caller: nothing new starts, running requests are waited for.
func (in *incarnation) giveUp(partitions []int32) {
	ctx, cancel := context.WithTimeout(context.Background(), in.r.cfg.RevokeWait)
	defer cancel()
	var each sync.WaitGroup
	for _, p := range partitions {
		if !in.r.reader.disown(p, in.heartbeat) || in.r.cfg.Caller == nil {
			continue
		}
		each.Go(func() { in.r.cfg.Caller.Revoked(ctx, p) })
	}
	each.Wait()
}

// leaveWait bounds an abort, and the client's goodbye.
const leaveWait = 5 * time.Second

// leave closes the client. A static member stays in the group until its session ends or it comes back.
func (in *incarnation) leave() {
	in.closing.Store(true) // the callbacks of closing have nothing more to tell
	owned := make([]int32, 0, len(in.parts))
	for p := range in.parts {
		owned = append(owned, p)
	}
	in.giveUp(owned)
	if in.begun.Load() {
		// Nobody waits for the transaction's time-out. If its commit did arrive, this changes nothing.
		ctx, cancel := context.WithTimeout(in.ctx, leaveWait)
		if err := in.abort(ctx); err != nil {
			in.r.cfg.Logger.Info("abort the open transaction", "error", err)
		}
		cancel()
	}
	// A join waits at the broker for all members, for a dead one until its session ends, and the client
	// waits for its join. Only the end of its context calls that off; then the broker is told nothing.
	defer time.AfterFunc(leaveWait, in.cancel).Stop()
	in.client.CloseAllowingRebalance()
}

// release lets go of the partitions.
func (in *incarnation) release() {
	in.r.owned.Add(-int32(len(in.order)))
	for id, p := range in.parts {
		in.r.metrics.forget(id)
		in.r.leave(id, in)
		if p.state == nil {
			continue
		}
		in.r.copied(id, p.state.Resume().Next)
		if err := p.state.Close(); err != nil {
			in.r.cfg.Logger.Error("let go of a partition's state", "partition", id, "error", err)
		}
	}
}

// followEnds keeps asking where the partitions end: for the clock, the lag, and whether a partition is
// read to its end. It asks every second, and at once when a timer is due.
func (in *incarnation) followEnds() {
	const every, soon = time.Second, 25 * time.Millisecond
	for {
		at := in.r.cfg.Now()
		listed, err := in.admin.ListCommittedOffsets(in.ctx, in.r.mailbox)
		if err == nil {
			err = listed.Error()
		}
		if n := len(listed[in.r.mailbox]); err == nil && n != int(in.partitions) {
			in.tell(event{err: fatal{fmt.Errorf("%s has %d partitions now and had %d when the stage started: keys belong to other partitions than their state, so nothing more is processed; the count must never change", in.r.mailbox, n, in.partitions)}})
			return
		}
		if err == nil {
			e := ends{at: at, offset: make(map[int32]int64, in.partitions)}
			for p, o := range listed[in.r.mailbox] {
				e.offset[p] = o.Offset
			}
			in.r.reader.ended(e)
			in.mu.Lock()
			in.ends = e
			if in.wake != nil && in.nextDue.Load() <= at.UnixMilli() {
				in.wake()
			}
			in.mu.Unlock()
		}
		wait := every
		if in.r.cfg.Caller != nil {
			wait = every / 2
		}
		until := time.UnixMilli(in.nextDue.Load()).Sub(in.r.cfg.Now())
		wait = max(min(wait, until), soon)
		select {
		case <-time.After(wait):
		case <-in.ctx.Done():
			return
		}
	}
}

// workers runs functions on partitions, a few at a time.
type workers struct {
	n    int
	jobs chan func()
	done sync.WaitGroup
}

func (w *workers) start(n int) {
	w.n, w.jobs = n, make(chan func())
	for range n {
		w.done.Go(func() {
			for job := range w.jobs {
				job()
			}
		})
	}
}

func (w *workers) stop() {
	close(w.jobs)
	w.done.Wait()
}

// each runs fn on every part and waits; the error is of the first part that had one.
func (w *workers) each(parts []*part, fn func(*part) error) error {
	if len(parts) == 1 {
		return fn(parts[0])
	}
	errs := make([]error, len(parts))
	var wait sync.WaitGroup
	wait.Add(len(parts))
	for i, p := range parts {
		w.jobs <- func() {
			defer wait.Done()
			errs[i] = fn(p)
		}
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
