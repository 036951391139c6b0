package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/access"
)

// aclsCommand tells what must be allowed on Kafka.
type aclsCommand struct {
	Command   []string `arg:"" optional:"" name:"command" help:"A command as it is typed, e.g. run consent, gateway, dlq replay; all by default."`
	Principal string   `placeholder:"User:NAME" help:"Print the kafka-acls.sh commands that allow it to this principal."`
}

// Help tells what the names mean.
func (c *aclsCommand) Help() string {
	return "Nothing is asked of the cluster. It is all that a command needs where Kafka has an authorizer: Read and Write allow Describe too, names that end in * are prefixes. \"handoff acls run\" is what a process needs that runs all stages. Stages do without DescribeConfigs, but then do not see at their start that a topic is configured wrongly."
}

// Run prints it.
func (c *aclsCommand) Run(s *session) error {
	cfg, err := s.load()
	if err != nil {
		return err
	}
	a, err := s.app()
	if err != nil {
		return err
	}
	all, err := a.Access()
	if err != nil {
		return err
	}
	command := strings.Join(c.Command, " ")
	roles := access.Select(all, command)
	if len(roles) == 0 {
		return fmt.Errorf("%w: there is no command %q that needs Kafka; \"handoff acls\" lists those that do", errUsage, command)
	}
	if c.Principal == "" {
		return access.Table(os.Stdout, roles)
	}
	return access.Commands(os.Stdout, roles, cfg.Kafka.Brokers[0], c.Principal)
}
