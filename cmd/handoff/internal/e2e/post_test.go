package e2e

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"
)

// post carries webhooks to the gateway as the internet does: some twice, some late and so behind others,
// and some whose answer is lost, which the sender then sends again.
type post struct {
	gateway string
	ctx     context.Context
	late    sync.WaitGroup

	mu                          sync.Mutex
	luck                        *rand.Rand
	doubled, overtaken, unheard int
}

// behindPost puts the post before the gateway: it takes over the address that the outside knows, and the
// gateway listens elsewhere.
func (h *house) behindPost(luck *rand.Rand) *post {
	h.t.Helper()
	p := &post{gateway: freeAddress(h.t), ctx: h.t.Context(), luck: luck}
	h.env = append(h.env, "HANDOFF_HTTP__LISTEN="+p.gateway, "HANDOFF_HTTP__PUBLIC_URL=http://"+h.front)
	ln, err := net.Listen("tcp", h.front)
	if err != nil {
		h.t.Fatal(err)
	}
	server := &httptest.Server{Listener: ln, Config: &http.Server{Handler: p, ReadHeaderTimeout: 5 * time.Second}}
	server.Start()
	h.t.Cleanup(func() {
		server.Close()
		p.late.Wait()
	})
	return p
}

// ServeHTTP carries one request.
func (p *post) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the sender has gone
	}
	again, answered := p.fate(r)
	if again > 0 {
		p.late.Go(func() {
			select {
			case <-p.ctx.Done():
			case <-time.After(again):
				_, _ = p.carry(p.ctx, r, body) // a copy: what is said to it nobody hears
			}
		})
	}
	if !answered {
		// A status that comes late has been overtaken; its sender does not wait.
		if strings.Contains(r.URL.Path, "/status/") {
			w.WriteHeader(http.StatusOK)
			return
		}
		_, _ = p.carry(r.Context(), r, body)
		panic(http.ErrAbortHandler)
	}
	got, err := p.carry(r.Context(), r, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answer(w, got)
}

// fate decides what happens to a request: whether it is carried (once more) later, and whether its
// sender hears the answer.
func (p *post) fate(r *http.Request) (again time.Duration, answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Method != http.MethodPost {
		return 0, true
	}
	after := time.Duration(1 + p.luck.Int64N(int64(1200*time.Millisecond)))
	switch n := p.luck.IntN(12); {
	case n == 0:
		p.doubled++
		return after, true
	case n == 1 && strings.Contains(r.URL.Path, "/status/"):
		p.overtaken++
		return after, false
	case n == 2 && !strings.Contains(r.URL.Path, "/status/"):
		p.unheard++
		return 0, false
	}
	return 0, true
}

// carry brings a request to the gateway.
func (p *post) carry(ctx context.Context, r *http.Request, body []byte) (*httptest.ResponseRecorder, error) {
	to := url.URL{Scheme: "http", Host: p.gateway, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	req, err := http.NewRequestWithContext(ctx, r.Method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = r.Header.Clone()
	req.Host = r.Host
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	got := httptest.NewRecorder()
	for name, values := range resp.Header {
		got.Header()[name] = values
	}
	got.WriteHeader(resp.StatusCode)
	_, err = io.Copy(got, resp.Body)
	return got, err
}
