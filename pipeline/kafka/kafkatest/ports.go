package kafkatest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// choosePorts returns the client port of each node; the one above it is the controller's. first 0
// means any that are free.
func choosePorts(first, nodes, perNode int) ([]int, error) {
	if first != 0 {
		return portsFrom(first, nodes, perNode)
	}
	// Below what systems give to outgoing connections: nobody takes them by accident while a node is
	// down.
	const lowest, highest, tries = 10_000, 32_000, 200
	var err error
	for range tries {
		var ports []int
		if ports, err = portsFrom(lowest+rand.IntN(highest-lowest-perNode*nodes), nodes, perNode); err == nil {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("find free ports: %w", err)
}

// portsFrom returns the first of each node's consecutive ports if all are free.
func portsFrom(first, nodes, perNode int) ([]int, error) {
	ports := make([]int, nodes)
	for i := range perNode * nodes {
		port := first + i
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			err = ln.Close()
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("port %d is not free", port), err)
		}
		if i%perNode == 0 {
			ports[i/perNode] = port
		}
	}
	return ports, nil
}
