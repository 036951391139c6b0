package scripts

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/handoff-dev/handoff/schemas"
)

// stuck tells who waits for what in a run that does not go on: what the test was doing, how far each group is, which
// transactions are open, who has which partitions, and what every goroutine does.
func (w *whole) stuck(run context.Context) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var b strings.Builder
	fmt.Fprintf(&b, "the test was %s, in round %d, at %s by its clock; ended because: %v\nwhat befell the stages: %v\n",
		w.doing, w.rounds, w.plant.now().Format(time.DateTime), context.Cause(run), w.crew.befell)
	w.plant.tellGroups(ctx, &b)
	w.plant.tellOwners(&b)
	for n, m := range w.crew.members {
		switch {
		case m == nil:
			fmt.Fprintf(&b, "member %d: there is none\n", n)
		case isClosed(m.ended):
			fmt.Fprintf(&b, "member %d: ended: %v\n", n, m.err)
		default:
			fmt.Fprintf(&b, "member %d: runs\n", n)
		}
	}
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		fmt.Fprintf(&b, "goroutines: %v\n", err)
	}
	return b.String()
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// tellGroups says where a group, or the test itself, has not read a topic to its end.
func (p *plant) tellGroups(ctx context.Context, b *strings.Builder) {
	topics := append(mailboxes(), schemas.TopicPlatform, schemas.TopicEpisodes, schemas.TopicDeadLetters)
	committed := p.admin.FetchManyOffsets(ctx, mailboxes()...)
	ends, err := p.admin.ListEndOffsets(ctx, topics...)
	stable, stableErr := p.admin.ListCommittedOffsets(ctx, topics...)
	if err := errors.Join(err, stableErr); err != nil {
		fmt.Fprintf(b, "the broker does not say where the topics end: %v\n", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ends.Each(func(end kadm.ListedOffset) {
		at := p.read[end.Topic][end.Partition]
		open, _ := stable.Lookup(end.Topic, end.Partition)
		group, _ := committed[end.Topic].Fetched.Lookup(end.Topic, end.Partition)
		if at.next >= end.Offset && open.Offset >= end.Offset && (group.At >= at.data || group.Topic == "") {
			return
		}
		fmt.Fprintf(b, "%s/%d: ends at %d, without open transactions at %d; the test read up to %d, the group committed %d of %d\n",
			end.Topic, end.Partition, end.Offset, open.Offset, at.next, group.At, at.data)
	})
	groups, err := p.admin.DescribeGroups(ctx, mailboxes()...)
	if err != nil {
		fmt.Fprintf(b, "the broker does not describe the groups: %v\n", err)
	}
	for _, g := range groups.Sorted() {
		fmt.Fprintf(b, "group %s: %s, %d members, owns %v\n", g.Group, g.State, len(g.Members), g.AssignedPartitions())
	}
}

// tellOwners says which of deliver's partitions have an owner.
func (p *plant) tellOwners(b *strings.Builder) {
	p.desk.mu.Lock()
	defer p.desk.mu.Unlock()
	for n := range int32(partitions) {
		if l := p.desk.owned[n]; l != nil {
			fmt.Fprintf(b, "deliver/%d: its owner tells of %d calls\n", n, len(l.calls))
		} else {
			fmt.Fprintf(b, "deliver/%d: nobody owns it\n", n)
		}
	}
}

// TestStuckIsTold: a run in which nobody does the work ends and says who waits for what.
func TestStuckIsTold(t *testing.T) {
	all := plans(t, func(name string) bool { return name == "C2_confirmed_once" })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := trial{to: fakeKafka(t), seed: 1, idle: true}.play(ctx, t, all)
	if err == nil {
		t.Fatal("a run without members ends well")
	}
	for _, want := range []string{"the test was waiting for the stages to come to rest", "handoff.classify/", "deliver/0: nobody owns it", "member 0: there is none", "goroutine profile"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it does not tell %q:\n%.3000s", want, err)
		}
	}
}
