package dev

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// server is one HTTP server of the house.
type server struct {
	url  string
	http *http.Server
	done chan error
}

// serve starts a server on a loopback port; 0, or one that is taken, means any free one.
func serve(port int, h http.Handler) (*server, error) {
	ln, err := bind(port)
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + ln.Addr().String(), http: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}, done: make(chan error, 1)}
	go func() { s.done <- s.http.Serve(ln) }()
	return s, nil
}

// FreeAddress returns a loopback address on which nobody listens, for a listener that is opened later,
// by another process for instance. Its port is below those that systems give to outgoing connections
// and to listeners without a port, so nobody takes it by accident meanwhile.
func FreeAddress() (string, error) {
	const lowest, highest, tries = 10_000, 32_000, 100
	var err error
	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(highest-lowest))
		var ln net.Listener
		if ln, err = net.Listen("tcp", address); err == nil {
			return address, ln.Close()
		}
	}
	return "", fmt.Errorf("no free port on loopback: %w", err)
}

// bind listens on a loopback port, or on a free one where that is taken.
func bind(port int) (net.Listener, error) {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil && port != 0 {
		ln, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("listen on loopback: %w", err)
	}
	return ln, nil
}

// close ends the server and what it is answering.
func (s *server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if end := <-s.done; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}
