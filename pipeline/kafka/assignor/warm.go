package assignor

// warmUps is how many partitions a process warms up for at a time: as many as read a long changelog at once
// when they are restored.
const warmUps = 4

// near tells whether a member would be at work on a partition at once: its process has the state, or so
// little of it is left to read that it makes no difference. Who cannot warm up is taken to be.
func (m *Member) near(p int32) bool { return !m.Warms || m.Near[p] }

// wait leaves partitions where they are, at work, that would go to a process which must first read their
// state. It has them warmed up for there instead, a few at a time: a copy that comes near moves its
// partition at the next rebalance, which the process then asks for. Until then shares are not even.
func (o *owners) wait(warm map[string][]int32) {
	for p, now := range o.of {
		had := o.had[p]
		if had == nobody || had == now {
			continue
		}
		to := &o.members[now]
		if to.near(int32(p)) || to.Process == o.members[had].Process {
			continue
		}
		o.of[p] = had
		if len(warm[to.Process]) < warmUps {
			warm[to.Process] = append(warm[to.Process], int32(p))
		}
	}
}
