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
	known := o.people[address].read(personEntry, p) && p.GetId() != ""
	o.people[mine[0]].read(personEntry, first)
	if len(mine) == 1 && known || len(mine) > 1 && (!slices.Equal(p.GetAddresses(), mine) || p.GetId() != first.GetId()) {
		rt.Fatalf("%s knows %v, want %v with the id %s", address, p, mine, first.GetId())
	}
	if got := o.people[address].standing(accountA).GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED; got != out {
		rt.Fatalf("%s of %v is opted out: %v, want %v", address, mine, got, out)
	}
}

// settle lets all read until nothing is on its way.
func (o *town) settle(rt *rapid.T) {
	for n := 0; len(o.waiting()) > 0; n++ {
		if n > 10_000 {
			rt.Fatal("they never stop talking")
		}
		o.deliver(rapid.SampledFrom(o.waiting()).Draw(rt, "reader"))
	}
}

// ask queues a request about an address.
func (o *town) ask(address string, body *handoffv1.Record) {
	w := o.people[address]
	o.queues[address] = append(o.queues[address], w.record(accountA, func(r *handoffv1.Record) {
		r.Account, r.Conversation, r.Body = "", "", body.GetBody()
	}))
}

func (o *town) askLink(a, b string) {
	o.ask(a, &handoffv1.Record{Body: &handoffv1.Record_LinkRequest{LinkRequest: &handoffv1.LinkRequest{Other: b, By: "Ann"}}})
}

func (o *town) askUnlink(a string) {
	o.ask(a, &handoffv1.Record{Body: &handoffv1.Record_UnlinkRequest{UnlinkRequest: &handoffv1.UnlinkRequest{By: "Ann"}}})
}

func (o *town) person(address string) *statev1.Person {
	p := &statev1.Person{}
	o.people[address].read(personEntry, p)
	return p
}

// checkAgree holds that all addresses know the same of each other.
func (o *town) checkAgree(rt *rapid.T) {
	for _, a := range o.addresses() {
		p := o.person(a)
		if (p.GetId() == "") != (len(p.GetAddresses()) == 0) || p.GetId() != "" && !slices.Contains(p.GetAddresses(), a) {
			rt.Fatalf("%s knows %v", a, p)
		}
		for _, b := range p.GetAddresses() {
			if q := o.person(b); q.GetId() != p.GetId() || !slices.Equal(q.GetAddresses(), p.GetAddresses()) {
				rt.Fatalf("%s knows %v, %s knows %v", a, p, b, q)
			}
		}
	}
}

// TestUnlinksInAnyOrder: links and their undoing, asked for and heard of in whatever order: in the end all
// agree. Who is unlinked then is alone, though words about it were under way; linked again, it is linked, as
// another person than the one that it left.
func TestUnlinksInAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := newTown(t, rapid.IntRange(2, 5).Draw(rt, "addresses"))
		all := o.addresses()
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			a := rapid.SampledFrom(all).Draw(rt, "a")
			switch what := rapid.SampledFrom([]string{"link", "link", "unlink", "STOP", "deliver", "deliver", "deliver"}).Draw(rt, "what"); {
			case what == "link":
				o.askLink(a, rapid.SampledFrom(all).Draw(rt, "b"))
			case what == "unlink":
				o.askUnlink(a)
			case what == "STOP":
				o.people[a].says(accountA, "STOP")
				o.collect(o.people[a])
			case len(o.waiting()) > 0:
				o.deliver(rapid.SampledFrom(o.waiting()).Draw(rt, "reader"))
			}
		}
		o.settle(rt)
		o.checkAgree(rt)
		a := rapid.SampledFrom(all).Draw(rt, "parted")
		o.askUnlink(a)
		o.settle(rt)
		o.checkAgree(rt)
		if p := o.person(a); p.GetId() != "" {
			rt.Fatalf("%s is unlinked and knows %v", a, p)
		}
		b := rapid.SampledFrom(all).Draw(rt, "b")
		o.askLink(a, b)
		o.settle(rt)
		o.checkAgree(rt)
		if p := o.person(a); a != b && !slices.Contains(p.GetAddresses(), b) {
			rt.Fatalf("%s and %s are linked and %s knows %v", a, b, a, p)
		}
	})
}

// TestUnlinkedWhileOthersLink: the others of a person are linked with more addresses, and tell each other of
// all that they know; the one that leaves meanwhile stays away.
func TestUnlinkedWhileOthersLink(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := newTown(t, 4)
		all := rapid.Permutation(o.addresses()).Draw(rt, "addresses")
		a, b, c, d := all[0], all[1], all[2], all[3]
		o.askLink(a, b)
		o.settle(rt)
		was := o.person(a).GetId()
		o.askLink(c, b)
		o.askLink(d, c)
		for range rapid.IntRange(0, 12).Draw(rt, "heard before") {
			if len(o.waiting()) > 0 {
				o.deliver(rapid.SampledFrom(o.waiting()).Draw(rt, "reader"))
			}
		}
		o.askUnlink(a)
		o.settle(rt)
		o.checkAgree(rt)
		if p := o.person(a); p.GetId() != "" {
			rt.Fatalf("%s left person %s and knows %v", a, was, p)
		}
		if p := o.person(b); !slices.Contains(p.GetAddresses(), c) || !slices.Contains(p.GetAddresses(), d) {
			rt.Fatalf("%s, %s and %s are linked, and %s knows %v", b, c, d, b, p)
		}
	})
}
