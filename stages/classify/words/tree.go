package words

import "bytes"

// branch is a node of the tree of patterns while it is made.
type branch struct {
	steps []byte
	to    []*branch
	// whole and stem are places in the senses of patterns that end here: a word's end must follow, or not.
	whole, stem uint32
}

func (b *branch) add(pattern string, stem bool, senses uint32) {
	for i := range len(pattern) {
		at := bytes.IndexByte(b.steps, pattern[i])
		if at < 0 {
			at = len(b.to)
			b.steps = append(b.steps, pattern[i])
			b.to = append(b.to, &branch{})
		}
		b = b.to[at]
	}
	if stem {
		b.stem = senses
	} else {
		b.whole = senses
	}
}

// node of the tree. Its children stand together, the bytes that lead to them in tree.steps at the same
// places.
type node struct {
	first       uint32
	count       uint16
	whole, stem uint32
}

// tree is the tree of patterns laid out for reading: what follows each other in a word stands near.
type tree struct {
	nodes []node
	steps []byte
	// roots are the nodes that first bytes lead to; 0 for none.
	roots [256]uint32
}

// lay lays out the tree below b.
func (b *branch) lay() tree {
	t := tree{nodes: make([]node, 1), steps: make([]byte, 1)}
	b.children(&t, 0)
	for i := range uint32(t.nodes[0].count) {
		t.roots[t.steps[t.nodes[0].first+i]] = t.nodes[0].first + i
	}
	return t
}

func (b *branch) children(t *tree, at uint32) {
	first := uint32(len(t.nodes))
	t.nodes[at].first, t.nodes[at].count = first, uint16(len(b.to))
	for i, c := range b.to {
		t.nodes = append(t.nodes, node{whole: c.whole, stem: c.stem})
		t.steps = append(t.steps, b.steps[i])
	}
	for i, c := range b.to {
		c.children(t, first+uint32(i))
	}
}

// step returns the node that a byte leads to from another than the root; 0 for none.
func (t *tree) step(n *node, c byte) uint32 {
	switch n.count {
	case 0:
		return 0
	case 1:
		if t.steps[n.first] == c {
			return n.first
		}
		return 0
	}
	if i := bytes.IndexByte(t.steps[n.first:n.first+uint32(n.count)], c); i >= 0 {
		return n.first + uint32(i)
	}
	return 0
}
