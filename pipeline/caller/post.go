package caller

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// end posts the result of the call. It stays in its lane until the result is committed, so that the
// next call sees what came of it.
func (w *work) end(o *handoffv1.Outcome) step {
	k, c := w.k, w.c
	fit(o)
	r := w.envelope("result", c.attempts)
	r.Body = &handoffv1.Record_CallResult{CallResult: &handoffv1.CallResult{
		CallId: w.pc.Call.ID, Attempt: c.attempts, Outcome: o,
	}}
	if !w.post(r) {
		return step{at: k.cfg.Now()} // closing
	}
	k.metrics.outcomes.WithLabelValues(w.pc.Call.Destination, statusName(o.GetStatus())).Inc()
	k.mu.Lock()
	c.posted = true
	k.mu.Unlock()
	return step{}
}

// fit makes an outcome small enough for a record: of what a ticket holds the first part, the rest is
// fetched by the next call; anything else that large is a failure.
func fit(o *handoffv1.Outcome) {
	const most = schemas.MaxRecordBytes - 64<<10 // room for the envelope
	for len(o.Items) > 1 && proto.Size(o) > most {
		o.Items, o.MoreItems = o.Items[:len(o.Items)/2], true
	}
	if size := proto.Size(o); size > most {
		o.Reset()
		o.Status = handoffv1.OutcomeStatus_OUTCOME_STATUS_FAILED
		o.Meaning = fmt.Sprintf("the answer is too large for a record: %d bytes", size)
	}
}

// announce posts that an attempt at a blind destination is about to start. It starts when that is
// committed.
func (w *work) announce(now time.Time) step {
	k, c := w.k, w.c
	number := max(c.attempts, w.announced) + 1
	k.mu.Lock()
	c.awaited = number
	k.mu.Unlock()
	r := w.envelope("start", number)
	r.Body = &handoffv1.Record_AttemptStarted{AttemptStarted: &handoffv1.AttemptStarted{
		CallId: w.pc.Call.ID, Attempt: number, Incarnation: w.l.p.incarnation,
	}}
	if !w.post(r) {
		return step{at: now}
	}
	return step{announced: true, at: now.Add(announceAgain)}
}

// mostTold bounds the calls of a lane that deliver is told of.
const mostTold = 100

// tellFailing posts that the calls of the lane fail, where somebody waits to hear of it: once, and again when
// another call joined them.
func (w *work) tellFailing() {
	k, l := w.k, w.l
	k.mu.Lock()
	tell := l.account.tells && !l.told
	l.told = true
	var ids []string
	for _, c := range l.calls[max(0, len(l.calls)-mostTold):] {
		ids = append(ids, c.pc.Call.ID)
	}
	k.mu.Unlock()
	if !tell || len(ids) == 0 {
		return
	}
	failing := &handoffv1.DeskFailing{CallIds: ids, Meaning: "it answers nobody"}
	if last := w.c.last; last != nil {
		failing.Code, failing.Meaning = last.Code, last.Meaning
	}
	if w.c.maybe {
		failing.Unanswered = w.pc.Call.ID
	}
	r := w.envelope("failing/"+ids[len(ids)-1], w.c.attempts)
	r.Body = &handoffv1.Record_DeskFailing{DeskFailing: failing}
	w.post(r)
}

// envelope is a record of the call's key and place.
func (w *work) envelope(what string, attempt uint32) *handoffv1.Record {
	of, now := w.rel.Attempt.Record, timestamppb.New(w.k.cfg.Now())
	return &handoffv1.Record{
		Id: schemas.SourceID("caller", of.GetShop(), w.l.p.incarnation,
			w.pc.Call.ID+"/"+what+"/"+strconv.FormatUint(uint64(attempt), 10)),
		Shop: of.GetShop(), Channel: of.GetChannel(), Account: of.GetAccount(), Address: of.GetAddress(),
		Conversation: of.GetConversation(), EventTime: now, ReceivedAt: now,
		Traceparent: of.GetTraceparent(), SettingsVersion: of.GetSettingsVersion(),
	}
}

// post puts a record into the mailbox, again and again until it is acknowledged: the worker is held
// meanwhile, so that no more is unposted than there are workers. It gives up when the Caller's Close
// does.
func (w *work) post(r *handoffv1.Record) bool {
	k := w.k
	k.mu.Lock()
	k.leavePlace(w.l)
	k.mu.Unlock()
	k.signal()
	value, err := schemas.EncodeOutside(r)
	if err != nil {
		k.cfg.Log.Error("a result cannot be encoded", "call", w.pc.Call.ID, "error", err)
		return false
	}
	key := schemas.KeyOf(r).Bytes()
	for tries := 0; ; tries++ {
		err := k.cfg.Poster.Post(k.base, k.cfg.Topic, key, value)
		if err == nil {
			return true
		}
		if k.base.Err() != nil {
			return false
		}
		k.metrics.unposted.Inc()
		k.cfg.Log.Warn("a result was not acknowledged; posting it again", "call", w.pc.Call.ID, "error", err)
		pause := time.NewTimer(k.retryPost(tries))
		select {
		case <-pause.C:
		case <-k.base.Done():
			pause.Stop()
			return false
		}
	}
}

func statusName(s handoffv1.OutcomeStatus) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "OUTCOME_STATUS_"))
}

func reasonName(r handoffv1.BlockReason) string {
	return strings.ToLower(strings.TrimPrefix(r.String(), "BLOCK_REASON_"))
}
