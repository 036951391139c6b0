package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas/consentask"
)

// Labels of requests that belong to no connector.
const (
	providerSettings = "settings"
	providerPlatform = "platform"
	providerUnknown  = "unknown"
)

// routes is the whole of what the gateway serves.
func (g *Gateway) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(escapedPath)
	r.Post("/in/"+providerPlatform+"/{shop}", g.serve(g.platformRequest))
	r.Post("/in/{provider}/{shop}", g.serve(g.deskRequest))
	r.Post("/in/{provider}/{shop}/{account}", g.serve(g.channelRequest))
	r.Post("/in/{provider}/{shop}/{account}/status/{call}", g.serve(g.channelRequest))
	r.Post("/shops/{shop}/settings", g.serve(g.applySettings))
	r.Post("/shops/{shop}/consent", g.serve(g.importConsent))
	r.Post("/shops/{shop}/consent/decisions", g.serve(g.ask(consentask.Decide)))
	r.Post("/shops/{shop}/consent/links", g.serve(g.ask(consentask.Link)))
	r.Post("/shops/{shop}/consent/unlinks", g.serve(g.ask(consentask.Unlink)))
	r.Get("/shops/{shop}/episodes/{address}", g.serve(g.inEpisode))
	r.Get("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"healthy": true})
	})
	r.Get("/readyz", g.serveReady)
	r.NotFound(g.serve(func(http.ResponseWriter, *http.Request) (string, outcome, error) {
		return providerUnknown, "", refuse(unknownPath, "nothing is served at this path; docs/gateway.md lists what is")
	}))
	r.MethodNotAllowed(g.serve(func(w http.ResponseWriter, req *http.Request) (string, outcome, error) {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if r.Match(chi.NewRouteContext(), method, req.URL.EscapedPath()) {
				w.Header().Add("Allow", method)
			}
		}
		return providerUnknown, "", refuse(wrongMethod, "this path takes %s", strings.Join(w.Header().Values("Allow"), " and "))
	}))
	return r
}

// escapedPath makes chi match the path as it was sent, so that an account may hold any character,
// escaped; params are unescaped once, by param.
func escapedPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chi.RouteContext(r.Context()).RoutePath = r.URL.EscapedPath()
		next.ServeHTTP(w, r)
	})
}

// param returns a path parameter, unescaped.
func param(r *http.Request, name string) (string, error) {
	v, err := url.PathUnescape(chi.URLParam(r, name))
	if err != nil {
		return "", &ingress.Malformed{Place: "path", Reason: "its " + name + " is not escaped correctly"}
	}
	return v, nil
}

// handlerFunc serves one request: it answers and returns how, or writes nothing and returns an error.
// provider is the metric's label.
type handlerFunc func(http.ResponseWriter, *http.Request) (provider string, o outcome, err error)

// serve answers errors, counts every request, and keeps a panic from ending more than its request.
func (g *Gateway) serve(handle handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		answer := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		provider, o, err := g.contained(handle, answer, r)
		if err != nil {
			refused := refusalOf(err)
			o = refused.outcome
			g.logRefusal(provider, refused)
			if answer.Status() == 0 {
				refused.write(answer)
			}
		}
		took := time.Since(began)
		g.metrics.ended(provider, o, took)
		g.cfg.Log.Debug("request", "provider", provider, "outcome", string(o), "status", answer.Status(), "took", took)
	}
}

// contained runs handle and turns a panic into an error.
func (g *Gateway) contained(handle handlerFunc, w http.ResponseWriter, r *http.Request) (provider string, o outcome, err error) {
	defer func() {
		if v := recover(); v != nil {
			provider = g.providerLabel(r)
			err = &refusal{outcome: failed, reason: "the gateway failed to handle this request", cause: fmt.Errorf("panic: %v\n%s", v, debug.Stack())}
		}
	}()
	return handle(w, r)
}

// logRefusal says what an operator must know. Callers' mistakes and forgeries are counted only, so
// that nobody outside can fill the log.
func (g *Gateway) logRefusal(provider string, r *refusal) {
	switch r.outcome {
	case failed:
		g.cfg.Log.Error("a request failed inside the gateway", "provider", provider, "error", r.cause)
	case noSecret:
		g.cfg.Log.Error("a shop's secret cannot be read; its webhooks are answered 503", "provider", provider, "error", r.cause)
	default:
		g.cfg.Log.Debug("request refused", "provider", provider, "outcome", string(r.outcome), "place", r.place, "reason", r.reason)
	}
}

// providerLabel returns the path's provider where there is one of that name.
func (g *Gateway) providerLabel(r *http.Request) string {
	name, err := param(r, "provider")
	if err != nil {
		return providerUnknown
	}
	if _, ok := g.cfg.Channels[name]; ok {
		return name
	}
	if _, ok := g.cfg.Desks[name]; ok {
		return name
	}
	return providerUnknown
}

// Ready returns nil when webhooks can be taken, and the reasons why not otherwise.
func (g *Gateway) Ready() error {
	var reasons []error
	if g.door.closed() || g.draining.Load() {
		reasons = append(reasons, errDoorClosed)
	}
	if !g.cfg.SettingsLoaded() {
		reasons = append(reasons, errors.New("the settings table is not loaded yet"))
	}
	reasons = append(reasons, g.kafka.ready())
	if g.cfg.Ready != nil {
		reasons = append(reasons, g.cfg.Ready())
	}
	return errors.Join(reasons...)
}

// serveReady answers 200 when webhooks can be taken, else 503 with the reasons.
func (g *Gateway) serveReady(w http.ResponseWriter, _ *http.Request) {
	var reasons []string
	status := http.StatusOK
	if err := g.Ready(); err != nil {
		status, reasons = http.StatusServiceUnavailable, strings.Split(err.Error(), "\n")
	}
	writeJSON(w, status, struct {
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons,omitempty"`
	}{len(reasons) == 0, reasons})
}
