package app

import (
	"slices"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/access"
	"github.com/handoff-dev/handoff/cmd/handoff/internal/topology"
	"github.com/handoff-dev/handoff/connectors/gateway"
	"github.com/handoff-dev/handoff/pipeline/explain"
	"github.com/handoff-dev/handoff/pipeline/kafka"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/deadletter"
)

// Access returns what every process and command must be allowed on Kafka. What stages, the gateway and the tools
// that post need follows from the topology.
func (a *App) Access() ([]access.Role, error) {
	t, err := a.Describe()
	if err != nil {
		return nil, err
	}
	var all []access.Role
	for _, name := range StageNames() {
		all = append(all, stageAccess(t, name))
	}
	front := access.NewRole("gateway")
	allowFlows(front, t, nodeGateway)
	for _, post := range gateway.Posts() {
		front.Allow(access.Topic, post.Topic, access.DescribeConfigs) // to tell how many replicas must be in sync where too few are
	}
	// The operator's calls publish settings.
	front.Allow(access.TransactionalID, settingsWriter, access.Write)
	all = append(all, *front)
	all = append(all, toolAccess(t)...)
	for _, name := range StageNames() {
		all = append(all, resetAccess(name))
	}
	return all, nil
}

// allowFlows allows what a node of the topology reads and writes.
func allowFlows(r *access.Role, t *topology.Topology, node string) {
	for _, f := range t.Flows {
		if f.Way == topology.Direct {
			continue
		}
		if slices.Contains(f.From, node) {
			r.Allow(access.Topic, f.Via, access.Write)
		}
		if slices.Contains(f.To, node) {
			r.Allow(access.Topic, f.Via, access.Read)
		}
	}
}

// stageAccess is what a process that runs a stage needs.
func stageAccess(t *topology.Topology, stage string) access.Role {
	r := access.NewRole("run " + stage)
	allowFlows(r, t, stage)
	if stage == schemas.StageDeliver {
		allowFlows(r, t, nodeCaller)
	}
	r.Allow(access.Topic, schemas.TopicSettings, access.Read) // every process reads the table before it starts
	for _, g := range slices.Clone(r.Grants) {
		r.Allow(g.Kind, g.Name, access.DescribeConfigs) // to see at the start that they are configured as they must be
	}
	r.Allow(access.Group, schemas.Mailbox(stage), access.Read)
	r.AllowPrefix(access.TransactionalID, stage+"-", access.Write) // behind it is the instance
	return *r
}

// toolAccess is what the commands need that are no process.
func toolAccess(t *topology.Topology) []access.Role {
	apply := access.NewRole("topics apply").AllowPrefix(access.Topic, schemas.Mailbox(""), access.Create, access.Describe, access.DescribeConfigs)
	publish := access.NewRole("settings apply").Allow(access.TransactionalID, settingsWriter, access.Write)
	publish.Allow(access.Topic, schemas.TopicSettings, access.Read, access.Write)
	diff := access.NewRole("settings diff").Allow(access.Topic, schemas.TopicSettings, access.Read)

	lag, kept := access.NewRole("lag"), access.NewRole("state get", "state scan")
	for _, stage := range StageNames() {
		lag.Allow(access.Topic, schemas.Mailbox(stage), access.Read).Allow(access.Group, schemas.Mailbox(stage), access.Describe)
		allowState(kept, stage)
	}
	ledger := allowState(access.NewRole("consent show", "consent export", "consent check", "consent possible"), schemas.StageConsent)
	file := access.NewRole("consent import", "consent decide", "consent link", "consent unlink", "consent sweep")
	allowFlows(allowState(file, schemas.StageConsent), t, nodeConsent)
	file.Allow(access.Topic, schemas.TopicSettings, access.Read)

	tell := access.NewRole("explain")
	for _, topic := range append(explain.Topics(), schemas.TopicDeadLetters, schemas.TopicSettings) {
		tell.Allow(access.Topic, topic, access.Read)
	}
	tell.Allow(access.Topic, schemas.TopicClassify, access.Read).Allow(access.Group, schemas.Mailbox(schemas.StageClassify), access.Describe)

	list := access.NewRole("dlq list", "dlq show").Allow(access.Topic, schemas.TopicDeadLetters, access.Read)
	resolve := access.NewRole("dlq replay", "dlq drop")
	allowFlows(resolve, t, nodeDeadLetter)
	for _, g := range slices.Clone(resolve.Grants) {
		resolve.Allow(g.Kind, g.Name, access.Read, access.Write) // a value that did not fit is read from its mailbox; that it is resolved is written to the dead letters
	}
	resolve.Allow(access.Topic, schemas.TopicSettings, access.Read).Allow(access.TransactionalID, deadletter.ResolverID, access.Write)
	return []access.Role{*apply, *publish, *diff, *lag, *kept, *ledger, *file, *tell, *list, *resolve}
}

// allowState allows to read a stage's committed state.
func allowState(r *access.Role, stage string) *access.Role {
	return r.Allow(access.Topic, schemas.Changelog(stage), access.Read).Allow(access.Topic, schemas.Mailbox(stage), access.Describe).
		Allow(access.Group, schemas.Mailbox(stage), access.Describe)
}

// resetAccess is what resetting a stage needs.
func resetAccess(stage string) access.Role {
	r := access.NewRole("reset " + stage)
	r.Allow(access.Topic, schemas.Mailbox(stage), access.Read).Allow(access.Topic, schemas.Changelog(stage), access.Read, access.Write)
	r.Allow(access.Topic, schemas.TopicSettings, access.Read).Allow(access.Topic, schemas.TopicDeadLetters, access.Read)
	if whyNotRebuilt(stage) == "" {
		r.Allow(access.Topic, schemas.TopicDeadLetters, access.Write) // --allow-failures
		if whyNotEmitted(stage) == "" {
			r.Allow(access.Topic, schemas.TopicDeliver, access.Write) // --emit
		}
	}
	r.Allow(access.Group, schemas.Mailbox(stage), access.Read).Allow(access.TransactionalID, kafka.ResetConfig{Name: stage}.ID(), access.Write)
	return *r
}
