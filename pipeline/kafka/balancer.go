package kafka

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/handoff-dev/handoff/pipeline/kafka/assignor"
)

// balancer shares a stage's partitions among its members by assignor.Assign. To the group it is the
// cooperative sticky one, whose name, metadata and two-step handing over it keeps, so that processes of a
// version without it can be in the same group, and lead it. Behind the metadata stands a hint: the
// member's process, and what copies of state it has. The leader's answer says which copies to keep.
type balancer struct {
	kgo.GroupBalancer
	r      *Runner
	member int
	fresh  atomic.Bool // it owned nothing when it joined
	// unfinished is set when the group must be asked for another rebalance; see keeping.
	unfinished atomic.Bool
}

func newBalancer(r *Runner, member int) *balancer {
	return &balancer{GroupBalancer: kgo.CooperativeStickyBalancer(), r: r, member: member}
}

// hint is what a member tells beside what it owns.
type hint struct {
	Process string `json:"process"`
	// Standby is how many copies of each partition it wants kept; 0 is a process that keeps none itself.
	Standby int `json:"standby,omitempty"`
	// Copies of state in the process' store: up to which offset of the changelog.
	Copies map[int32]int64 `json:"copies,omitempty"`
	// Warms says that the member can warm up, and understands being told so; Near are the partitions of whose
	// state hardly anything is left to read.
	Warms bool    `json:"warms,omitempty"`
	Near  []int32 `json:"near,omitempty"`
}

// keeping is what the leader tells a process beside who owns what: the partitions to keep copies of, and
// those to warm up for. Members of a version that cannot warm up are told the copies alone, as a list.
type keeping struct {
	Copies []int32 `json:"copies,omitempty"`
	Warm   []int32 `json:"warm,omitempty"`
	// Leaves says that the member has partitions that others are to get. They get them at the rebalance that
	// it asks for once it has let go. A static member that ends before it has asked comes back to this same
	// answer without a rebalance: nobody would have what it left.
	Leaves bool `json:"leaves,omitempty"`
	// Standby is how many copies of each partition were wanted. A static member that comes back wanting more
	// comes back to this same answer, too.
	Standby int `json:"standby,omitempty"`
}

// parseKeeping reads either form.
func parseKeeping(raw []byte) (k keeping, err error) {
	switch {
	case len(raw) == 0:
	case raw[0] == '[':
		err = json.Unmarshal(raw, &k.Copies)
	default:
		err = json.Unmarshal(raw, &k)
	}
	if err != nil {
		return k, fmt.Errorf("read which copies to keep: %w", err)
	}
	return k, nil
}

// hintMark ends user data that has a hint before it, and the hint's length.
const hintMark = "hndf"

func (h hint) appendTo(data []byte) []byte {
	raw, err := json.Marshal(h)
	if err != nil {
		return data // it cannot be, and a member without a hint is one of before
	}
	data = append(data, raw...)
	data = binary.BigEndian.AppendUint32(data, uint32(len(raw)))
	return append(data, hintMark...)
}

// parseHint finds the hint at the end of user data.
func parseHint(data []byte) (h hint, ok bool) {
	body := len(data) - len(hintMark) - 4
	if body < 0 || string(data[len(data)-len(hintMark):]) != hintMark {
		return h, false
	}
	n := binary.BigEndian.Uint32(data[body:])
	if int64(n) > int64(body) {
		return h, false
	}
	err := json.Unmarshal(data[body-int(n):body], &h)
	return h, err == nil && h.Process != ""
}

// JoinGroupMetadata implements kgo.GroupBalancer.
func (b *balancer) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	b.fresh.Store(len(current[b.r.mailbox]) == 0)
	raw := b.GroupBalancer.JoinGroupMetadata(topics, current, generation)
	var meta kmsg.ConsumerMemberMetadata
	if err := meta.ReadFrom(raw); err != nil {
		return raw
	}
	meta.UserData = b.r.hint().appendTo(slices.Clone(meta.UserData))
	return meta.AppendTo(nil)
}

// ParseSyncAssignment implements kgo.GroupBalancer: it takes from the answer which copies are to be kept,
// and whether it is one from before the member came back.
func (b *balancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	owned, err := b.GroupBalancer.ParseSyncAssignment(assignment)
	if err != nil {
		return nil, err //nolint:wrapcheck // It is kgo's own, to kgo.
	}
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(assignment); err != nil {
		return nil, fmt.Errorf("read assignment: %w", err)
	}
	k, err := parseKeeping(a.UserData)
	if err != nil {
		return nil, err
	}
	b.r.keepCopies(b.member, k)
	b.unfinished.Store(b.fresh.Load() && (k.Leaves || k.Standby < b.r.cfg.Standby))
	return owned, nil
}

// MemberBalancer implements kgo.GroupBalancer.
func (b *balancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	of, err := kgo.NewConsumerBalancer(b, members)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // It is kgo's own, to kgo.
	}
	return of, of.MemberTopics(), nil
}

// Balance implements kgo.ConsumerBalancerBalance.
func (b *balancer) Balance(of *kgo.ConsumerBalancer, topics map[string]int32) kgo.IntoSyncAssignment {
	mailbox := b.r.mailbox
	members, copies := membersOf(of, mailbox)
	shared := assignor.Assign(members, topics[mailbox], copies)
	plan, keep := of.NewPlan(), map[string][]byte{}
	told := map[string]bool{}
	i := 0
	of.EachMember(func(member *kmsg.JoinGroupResponseMember, _ *kmsg.ConsumerMemberMetadata) {
		m := &members[i]
		i++
		if owned := shared.Owned[m.ID]; len(owned) > 0 {
			plan.AddPartitions(member, mailbox, owned)
		}
		k := keeping{Leaves: leaves(m.Owned, shared.Owned[m.ID]), Standby: copies}
		if !told[m.Process] { // of copies, one member of the process is enough
			told[m.Process] = true
			k.Copies, k.Warm = shared.Copies[m.Process], shared.Warm[m.Process]
		}
		if raw := k.tell(m.Warms); raw != nil {
			keep[m.ID] = raw
		}
	})
	plan.AdjustCooperative(of)
	return balanced{plan, keep}
}

// leaves tells whether a member that had the first is to lose any of them.
func leaves(had, gets []int32) bool {
	return slices.ContainsFunc(had, func(p int32) bool { return !slices.Contains(gets, p) })
}

// tell is the answer's form for a member; nil where it has nothing to keep.
func (k keeping) tell(warms bool) []byte {
	var raw []byte
	var err error
	switch {
	case warms && (k.Leaves || k.Standby > 0 || len(k.Copies)+len(k.Warm) > 0):
		raw, err = json.Marshal(k)
	case !warms && len(k.Copies) > 0:
		raw, err = json.Marshal(k.Copies)
	}
	if err != nil {
		return nil // numbers and lists of them cannot fail
	}
	return raw
}

// membersOf reads what members tell, and how many copies of each partition are wanted. A partition that
// several say they own belongs to the one that knew of the newest generation: the others have missed one.
func membersOf(of *kgo.ConsumerBalancer, mailbox string) (members []assignor.Member, copies int) {
	type claim struct {
		member     int
		generation int32
	}
	claims := map[int32]claim{}
	of.EachMember(func(member *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		m := assignor.Member{ID: member.MemberID, Process: member.MemberID}
		if h, ok := parseHint(meta.UserData); ok {
			m.Process, m.Copies, m.Keeps, m.Warms = h.Process, h.Copies, h.Standby > 0, h.Warms
			m.Near = make(map[int32]bool, len(h.Near))
			for _, p := range h.Near {
				m.Near[p] = true
			}
			copies = max(copies, h.Standby)
		}
		for _, t := range meta.OwnedPartitions {
			if t.Topic != mailbox {
				continue
			}
			for _, p := range t.Partitions {
				if c, ok := claims[p]; !ok || meta.Generation > c.generation {
					claims[p] = claim{len(members), meta.Generation}
				}
			}
		}
		members = append(members, m)
	})
	for p, c := range claims {
		members[c.member].Owned = append(members[c.member].Owned, p)
	}
	for i := range members {
		slices.Sort(members[i].Owned)
	}
	return members, copies
}

// balanced is a plan with the copies that members are to keep.
type balanced struct {
	plan *kgo.BalancePlan
	keep map[string][]byte // by member
}

// IntoSyncAssignment implements kgo.IntoSyncAssignment.
func (p balanced) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	all := p.plan.IntoSyncAssignment()
	for i := range all {
		raw := p.keep[all[i].MemberID]
		if raw == nil {
			continue
		}
		var a kmsg.ConsumerMemberAssignment
		if err := a.ReadFrom(all[i].MemberAssignment); err == nil { // what kgo wrote itself it reads
			a.UserData = raw
			all[i].MemberAssignment = a.AppendTo(nil)
		}
	}
	return all
}
