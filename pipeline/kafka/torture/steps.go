package torture

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// steps tells the parent how a member gets on from its start, a mark or a trap to its next commit: what it
// has done, what it asked brokers for and how long each answer took, and what the product warns of. So a
// recovery that takes long says itself what it waited for.
type steps struct {
	tell func(format string, args ...any)
	on   atomic.Bool // until the next commit

	mu     sync.Mutex
	seen   map[string]bool // guarded by mu; of this way, what is told once
	atWork int             // guarded by mu; partitions of the stage since the process began
}

// longAnswer is how long an answer takes that is told though it is not the first of its kind; longFetch
// that of a fetch, which waits for records anyway.
const (
	longAnswer = 250 * time.Millisecond
	longFetch  = time.Second
)

// begin has what follows be told, up to the next commit.
func (s *steps) begin() {
	s.mu.Lock()
	s.seen = map[string]bool{}
	s.mu.Unlock()
	s.on.Store(true)
}

// say tells a step.
func (s *steps) say(format string, args ...any) {
	if s.on.Load() {
		s.tell("step %d %s", time.Now().UnixMicro(), strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
	}
}

// committed tells the commit that ends the way.
func (s *steps) committed() {
	s.mu.Lock()
	n := s.atWork
	s.mu.Unlock()
	s.say("a transaction is committed, %d partitions were given to work on", n)
	if s.on.CompareAndSwap(true, false) {
		s.tell("commit")
	}
}

// assigned notes that a partition is restored and at work.
func (s *steps) assigned() {
	s.mu.Lock()
	s.atWork++
	s.mu.Unlock()
	if s.first("assigned") {
		s.say("the first partition is restored and at work")
	}
}

// first tells whether something is seen for the first time on this way.
func (s *steps) first(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[what] {
		return false
	}
	s.seen[what] = true
	return true
}

// answered tells of an answer: the first of its kind, one that took long, one that is an error. body is how
// it begins, after the header.
func (s *steps) answered(r request, body []byte) {
	took := time.Since(r.sent)
	long := longAnswer
	if kmsg.Key(r.key) == kmsg.Fetch {
		long = longFetch
	}
	err := kerr.ErrorForCode(topError(r, body))
	if s.first(r.client+r.name) || took > long || err != nil {
		note := ""
		if err != nil {
			note = ": " + strings.SplitN(err.Error(), ":", 2)[0]
		}
		s.say("%s answered to %s after %.2f s%s", r.name, r.client, took.Seconds(), note)
	}
}

// unanswered tells of requests that a lost connection took with it.
func (s *steps) unanswered(all []request, err error) {
	for _, r := range all {
		s.say("%s of %s lost after %.2f s: %v", r.name, r.client, time.Since(r.sent).Seconds(), err)
	}
}

// topError is the error that stands right behind the throttle time, in answers that have one there.
func topError(r request, body []byte) int16 {
	switch kmsg.Key(r.key) {
	case kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.InitProducerID, kmsg.EndTxn, kmsg.Fetch:
		if len(body) >= 6 {
			return int16(uint16(body[4])<<8 | uint16(body[5]))
		}
	}
	return 0
}

// logged is a log whose warnings are steps too.
type logged struct {
	slog.Handler
	steps *steps
}

func (l logged) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		text := r.Message
		r.Attrs(func(a slog.Attr) bool {
			text += " " + a.String()
			return true
		})
		l.steps.say("warned: %s", text)
	}
	return l.Handler.Handle(ctx, r)
}

func (l logged) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logged{l.Handler.WithAttrs(attrs), l.steps}
}

func (l logged) WithGroup(name string) slog.Handler {
	return logged{l.Handler.WithGroup(name), l.steps}
}
