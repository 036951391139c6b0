package consent

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// town is several addresses of a shop, and what consent posts from one to another's.
type town struct {
	t      testing.TB
	people map[string]*world
	// queues hold what waits, in order, by address.
	queues map[string][]*handoffv1.Record
}

func newTown(t testing.TB, n int) *town {
	town := &town{t: t, people: map[string]*world{}, queues: map[string][]*handoffv1.Record{}}
	for i := range n {
		w := newWorld(t, "consent: {opt_out_scope: shop}\n")
		w.address = fmt.Sprintf("+1415555000%d", i+1)
		town.people[w.address] = w
	}
	return town
}

func (o *town) addresses() (all []string) {
	for a := range o.people {
		all = append(all, a)
	}
	slices.Sort(all)
	return all
}

// collect queues what an address's last step posted to consent.
func (o *town) collect(w *world) {
	for _, r := range w.out[schemas.TopicConsent] {
		o.queues[r.GetAddress()] = append(o.queues[r.GetAddress()], r)
	}
}

// deliver lets an address read the first record that waits for it.
func (o *town) deliver(address string) {
	o.t.Helper()
	queue := o.queues[address]
	o.queues[address] = queue[1:]
	if err := o.people[address].step(queue[0]); err != nil {
		o.t.Fatal(err)
	}
	o.collect(o.people[address])
}

// waiting lists the addresses that have something to read.
func (o *town) waiting() (all []string) {
	for _, a := range o.addresses() {
		if len(o.queues[a]) > 0 {
			all = append(all, a)
		}
	}
	return all
}

// TestLinksInAnyOrder: whoever asks for which links, in whatever order the words arrive, all addresses of
// a person come to the same id and know each other, and whoever opted out of everything did so for all.
func TestLinksInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := newTown(t, rapid.IntRange(2, 5).Draw(rt, "addresses"))
		all := o.addresses()
		group := map[string]int{}
		for i, a := range all {
			group[a] = i
		}
		stopped := map[string]bool{}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			a, b := rapid.SampledFrom(all).Draw(rt, "a"), rapid.SampledFrom(all).Draw(rt, "b")
			switch what := rapid.SampledFrom([]string{"link", "STOP", "deliver", "deliver", "deliver"}).Draw(rt, "what"); {
			case what == "link":
				w := o.people[a]
				r := w.record(accountA, func(r *handoffv1.Record) {
					r.Account, r.Conversation = "", ""
					r.Body = &handoffv1.Record_LinkRequest{LinkRequest: &handoffv1.LinkRequest{Other: b, By: "Ann"}}
				})
				o.queues[a] = append(o.queues[a], r)
				from, to := group[a], group[b]
				for address, g := range group {
					if g == from {
						group[address] = to
					}
				}
			case what == "STOP":
				o.people[a].says(accountA, "STOP")
				o.collect(o.people[a])
				stopped[a] = true
			case len(o.waiting()) > 0:
				o.deliver(rapid.SampledFrom(o.waiting()).Draw(rt, "reader"))
			}
		}
		for n := 0; len(o.waiting()) > 0; n++ {
			if n > 10_000 {
				rt.Fatal("they never stop talking")
			}
			o.deliver(rapid.SampledFrom(o.waiting()).Draw(rt, "reader"))
		}
		for _, a := range all {
			o.checkPerson(rt, a, group, stopped)
		}
	})
}

// checkPerson holds what an address knows of its person against who was linked.
func (o *town) checkPerson(rt *rapid.T, address string, group map[string]int, stopped map[string]bool) {
	var mine []string
	out := false
	for _, other := range o.addresses() {
		if group[other] == group[address] {
			mine = append(mine, other)
			out = out || stopped[other]
		}
	}
	p, first := &statev1.Person{}, &statev1.Person{}
	known := o.people[address].read(personEntry, p)
	o.people[mine[0]].read(personEntry, first)
	if len(mine) == 1 && known || len(mine) > 1 && (!slices.Equal(p.GetAddresses(), mine) || p.GetId() != first.GetId()) {
		rt.Fatalf("%s knows %v, want %v with the id %s", address, p, mine, first.GetId())
	}
	if got := o.people[address].standing(accountA).GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED; got != out {
		rt.Fatalf("%s of %v is opted out: %v, want %v", address, mine, got, out)
	}
}
