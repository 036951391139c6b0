package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/handoff-dev/handoff/schemas/settings"
)

// applySettings serves POST /shops/<shop>/settings: a YAML document, checked whole, becomes the shop's
// next version. A refused one is answered 422 with every line and reason.
func (g *Gateway) applySettings(w http.ResponseWriter, r *http.Request) (string, outcome, error) {
	if g.cfg.Apply == nil {
		return providerSettings, "", refuse(unknownPath, "settings are not applied here")
	}
	if err := g.authorised(r); err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return providerSettings, "", err
	}
	shop, err := param(r, "shop")
	if err != nil {
		return providerSettings, "", err
	}
	document, err := g.readBody(w, r)
	if err != nil {
		return providerSettings, "", err
	}
	parsed, err := settings.Parse(document)
	if err == nil && parsed.Shop != shop {
		err = &settings.Error{Problems: []settings.Problem{{Path: "shop", Reason: "is not the shop that the path names"}}}
	}
	var version uint64
	if err == nil {
		version, err = g.cfg.Apply(r.Context(), shop, document)
	}
	if refused, ok := errors.AsType[*settings.Error](err); ok {
		writeProblems(w, refused)
		return providerSettings, refusedSettings, nil
	}
	if err != nil {
		err = fmt.Errorf("apply the settings of %s: %w", shop, err)
		g.cfg.Log.Warn("settings could not be stored", "shop", shop, "error", err)
		return providerSettings, "", &refusal{outcome: unacknowledged, reason: "the settings could not be stored; send them again", cause: err}
	}
	g.cfg.Log.Info("settings applied", "shop", shop, "version", version)
	writeJSON(w, http.StatusOK, map[string]any{"shop": shop, "version": version})
	return providerSettings, accepted, nil
}

// authorised checks the operator's token, in constant time.
func (g *Gateway) authorised(r *http.Request) error {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return refuse(unsigned, "the operator's bearer token is missing: Authorization: Bearer and the token")
	}
	given, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(g.cfg.OperatorToken))
	if g.cfg.OperatorToken == "" || subtle.ConstantTimeCompare(given[:], want[:]) != 1 {
		return refuse(forged, "the operator's bearer token is wrong, or the gateway has none (http.operator_token)")
	}
	return nil
}

func writeProblems(w http.ResponseWriter, e *settings.Error) {
	body := refusalBody{Error: refusedSettings, Reason: "the document was refused; nothing was changed"}
	for _, p := range e.Problems {
		body.Problems = append(body.Problems, problem{Line: p.Line, Path: p.Path, Reason: p.Reason})
	}
	writeJSON(w, refusedSettings.status(), body)
}
