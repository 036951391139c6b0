package gateway

import (
	"net/http"
	"time"

	"github.com/handoff-dev/handoff/pipeline/ingress"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/consentask"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// providerEpisodes is the metric's label of the platform's questions.
const providerEpisodes = "episodes"

// heldConversation is one conversation that people have, as the platform reads it.
type heldConversation struct {
	Conversation string    `json:"conversation"`
	Channel      string    `json:"channel"`
	Account      string    `json:"account"`
	State        string    `json:"state"`
	Episode      uint64    `json:"episode"`
	Since        time.Time `json:"since"`
	Ticket       string    `json:"ticket,omitempty"`
	TicketURL    string    `json:"ticket_url,omitempty"`
}

// inEpisode serves GET /shops/<shop>/episodes/<address>: whether people have a conversation of the address
// now (H13). With ?conversation=<channel>:<account> only that one counts.
func (g *Gateway) inEpisode(w http.ResponseWriter, r *http.Request) (string, outcome, error) {
	if g.cfg.Episodes == nil {
		return providerEpisodes, "", refuse(unknownPath, "this gateway does not know of episodes")
	}
	if err := g.authorised(r); err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return providerEpisodes, "", err
	}
	x := &exchange{provider: providerEpisodes}
	if err := g.shopOf(x, r); err != nil {
		return providerEpisodes, "", err
	}
	address, err := param(r, "address")
	if err != nil {
		return providerEpisodes, "", err
	}
	if !consentask.ValidAddress(address) {
		return providerEpisodes, "", &ingress.Malformed{Place: "address", Reason: "it cannot be an address"}
	}
	only := r.URL.Query().Get("conversation")
	if only != "" {
		channel, account, err := schemas.ParseConversation(only)
		if err != nil {
			return providerEpisodes, "", &ingress.Malformed{Place: "conversation", Reason: "it is not <channel>:<account>, with + written as %2B"}
		}
		if x.req.Shop.Account(channel, account) == nil {
			return providerEpisodes, "", refuse(unknownAccount, "the shop has no such account on that channel")
		}
	}
	held, err := g.cfg.Episodes(x.req.Shop.Shop, address)
	if err != nil {
		return providerEpisodes, "", &refusal{outcome: episodesPending, reason: "the table of episodes is still being read", cause: err}
	}
	conversations := heldBy(held, only)
	writeJSON(w, http.StatusOK, struct {
		Shop          string             `json:"shop"`
		Address       string             `json:"address"`
		InEpisode     bool               `json:"in_episode"`
		Conversations []heldConversation `json:"conversations"`
	}{x.req.Shop.Shop, address, len(conversations) > 0, conversations})
	return providerEpisodes, accepted, nil
}

// heldBy lists conversations that people have, only that one if it is named.
func heldBy(held *handoffv1.WithPeople, only string) []heldConversation {
	all := []heldConversation{}
	for _, h := range held.GetConversations() {
		channel, account, err := schemas.ParseConversation(h.GetConversation())
		if err != nil || only != "" && h.GetConversation() != only {
			continue
		}
		state := "requested"
		if h.GetState() == handoffv1.EpisodeState_EPISODE_STATE_OPEN {
			state = "open"
		}
		all = append(all, heldConversation{
			Conversation: h.GetConversation(), Channel: schemas.ChannelName(channel), Account: account, State: state,
			Episode: h.GetEpisode(), Since: h.GetSince().AsTime(), Ticket: h.GetTicketId(), TicketURL: h.GetTicketUrl(),
		})
	}
	return all
}
