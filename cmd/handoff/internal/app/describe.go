package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/config"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/topology"
	"github.com/handoff-dev/handoff/connectors/gateway"
	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/pipeline/caller"
	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas"
)

// Names of what is not a stage in a topology.
const (
	nodeGateway    = "gateway"
	nodeCaller     = "caller"
	nodeOutside    = "outside"
	nodeClickHouse = "ClickHouse"
	nodeApply      = "handoff settings apply"
	nodeDeadLetter = "handoff dlq"
	nodeConsent    = "handoff consent"
)

// contracted is a stage that says what it reads, posts and keeps.
type contracted interface {
	Name() string
	Contract() turn.Contract
}

func (s stages) contracts() []contracted {
	return []contracted{s.classify, s.consent, s.escalate, s.deliver}
}

// Contracts returns what each deciding stage says of itself, by name. The sink has none: its one entry
// is the runner's.
func Contracts() (map[string]turn.Contract, error) {
	s, err := newStages(config.Escalate{}, config.Classifier{})
	if err != nil {
		return nil, err
	}
	all := map[string]turn.Contract{}
	for _, c := range s.contracts() {
		all[c.Name()] = c.Contract()
	}
	return all, nil
}

// Describe returns what reads and writes what in this configuration.
func (a *App) Describe() (*topology.Topology, error) {
	s, err := newStages(a.cfg.Escalate, a.cfg.Classifier)
	if err != nil {
		return nil, err
	}
	destinations, err := a.destinations()
	if err != nil {
		return nil, err
	}
	t := &topology.Topology{Nodes: []topology.Node{{Name: nodeGateway, Kind: topology.Edge}}}
	for _, name := range StageNames() {
		t.Nodes = append(t.Nodes, topology.Node{Name: name, Kind: topology.Stage, Mailbox: schemas.Mailbox(name), Changelog: schemas.Changelog(name)})
	}
	t.Nodes = append(t.Nodes,
		topology.Node{Name: nodeCaller, Kind: topology.Edge},
		topology.Node{Name: nodeOutside, Kind: topology.Outside, Parts: outsideParts(slices.Collect(maps.Keys(destinations)))},
		topology.Node{Name: nodeClickHouse, Kind: topology.Store},
		topology.Node{Name: nodeApply, Kind: topology.Tool},
		topology.Node{Name: nodeDeadLetter, Kind: topology.Tool},
		topology.Node{Name: nodeConsent, Kind: topology.Tool})

	direct := func(from, via, carries, to string) {
		t.Flows = append(t.Flows, topology.Flow{Way: topology.Direct, Via: via, From: []string{from}, To: []string{to}, Carries: []string{carries}})
	}
	direct(nodeOutside, "HTTP", "webhooks", nodeGateway)
	if err := post(t, nodeGateway, gateway.Posts()); err != nil {
		return nil, err
	}
	for _, c := range s.contracts() {
		if err := post(t, c.Name(), c.Contract().Posts); err != nil {
			return nil, err
		}
	}
	direct(schemas.StageDeliver, "memory, after the commit", "calls", nodeCaller)
	if err := post(t, nodeCaller, caller.Posts()); err != nil {
		return nil, err
	}
	direct(nodeCaller, "HTTP", "requests", nodeOutside)
	direct(schemas.StageAnalytics, "SQL", "rows", nodeClickHouse)
	t.Flows = append(t.Flows, replays(s.list())...)
	t.Flows = append(t.Flows, topology.Flow{Way: topology.Records, Via: schemas.TopicConsent, From: []string{nodeConsent}, To: []string{schemas.StageConsent}, Carries: []string{"consent_decision", "consent_import", "link_request", "unlink_request"}})
	t.Flows = append(t.Flows, shared()...)
	return t, nil
}

// replays are what `handoff dlq` posts: a lost record as it was, the order to fire a lost timer, and
// that the matter is settled to a stage that shut texts for it (turn.Lost).
func replays(all []pipeline.Stage) []topology.Flow {
	var flows []topology.Flow
	for _, s := range all {
		carries := []string{"replayed records", "fire_timer"}
		if _, ok := s.(pipeline.FailureHandler); ok {
			carries = append(carries, "dead_letter_resolved")
		}
		flows = append(flows, topology.Flow{Way: topology.Records, Via: schemas.Mailbox(s.Name()), From: []string{nodeDeadLetter}, To: []string{s.Name()}, Carries: carries})
	}
	return flows
}

// shared are the topics that are no mailbox.
func shared() []topology.Flow {
	deciding := slices.DeleteFunc(StageNames(), func(name string) bool { return name == schemas.StageAnalytics })
	all := []topology.Flow{
		{Way: topology.Table, Via: schemas.TopicSettings, From: []string{nodeGateway, nodeApply}, Carries: []string{"settings"}, To: append([]string{nodeGateway}, deciding...)},
		{Way: topology.DeadLetters, Via: schemas.TopicDeadLetters, From: deciding, Carries: []string{"what could not be processed"}, To: []string{nodeDeadLetter}},
	}
	for _, name := range StageNames() {
		all = append(all, topology.Flow{Way: topology.State, Via: schemas.Changelog(name), From: []string{name}, To: []string{name}, Carries: []string{"state"}})
	}
	return all
}

// post adds what a node posts, each to the stage whose mailbox it is.
func post(t *topology.Topology, from string, posts []turn.Post) error {
	for _, p := range posts {
		if p.Topic == schemas.TopicPlatform {
			t.Flows = append(t.Flows, topology.Flow{Way: topology.Records, Via: p.Topic, From: []string{from}, To: []string{nodeOutside}, Carries: p.Bodies})
			continue
		}
		if p.Topic == schemas.TopicEpisodes {
			t.Flows = append(t.Flows, topology.Flow{Way: topology.Table, Via: p.Topic, From: []string{from}, To: []string{nodeGateway}, Carries: p.Bodies})
			continue
		}
		stage := strings.TrimPrefix(p.Topic, schemas.Mailbox(""))
		if !slices.Contains(StageNames(), stage) {
			return fmt.Errorf("%s posts to %s, which is nobody's mailbox", from, p.Topic)
		}
		t.Flows = append(t.Flows, topology.Flow{Way: topology.Records, Via: p.Topic, From: []string{from}, To: []string{stage}, Carries: p.Bodies})
	}
	return nil
}

// outsideParts sorts connectors into channels, help desks and others.
func outsideParts(destinations []string) []string {
	sorted := map[string][]string{}
	slices.Sort(destinations)
	for _, name := range destinations {
		kind := "others"
		if _, ok := channels()[name]; ok {
			kind = "channels"
		} else if _, ok := desks()[name]; ok {
			kind = "help desks"
		}
		sorted[kind] = append(sorted[kind], name)
	}
	var parts []string
	for _, kind := range []string{"channels", "help desks", "others"} {
		if names := sorted[kind]; len(names) > 0 {
			parts = append(parts, kind+": "+strings.Join(names, ", "))
		}
	}
	return parts
}
