package access_test

import (
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/access"
)

func roles() []access.Role {
	return []access.Role{
		*access.NewRole("run a").Allow(access.Group, "g", access.Read).Allow(access.Topic, "t", access.Describe).Allow(access.Topic, "t", access.Write).AllowPrefix(access.TransactionalID, "a-", access.Write),
		*access.NewRole("run b").Allow(access.Topic, "t", access.Read, access.Read),
		*access.NewRole("runner", "look").Allow(access.Topic, "t", access.Describe),
	}
}

func TestSelect(t *testing.T) {
	for command, want := range map[string]int{"": 3, "run": 2, "run a": 1, "look": 1, "runner": 1, "ru": 0} {
		if got := access.Select(roles(), command); len(got) != want {
			t.Errorf("%q: %d roles, want %d", command, len(got), want)
		}
	}
}

// TestPrinted: a table for people, each command once; for the tool each resource once, with what all roles need.
func TestPrinted(t *testing.T) {
	var table, commands strings.Builder
	if err := access.Table(&table, roles()); err != nil {
		t.Fatal(err)
	}
	const wantTable = `COMMAND       RESOURCE          NAME  OPERATIONS
run a         topic             t     Write
              group             g     Read
              transactional-id  a-*   Write
run b         topic             t     Read
runner, look  topic             t     Describe
`
	if table.String() != wantTable {
		t.Errorf("table:\n%s\nwant\n%s", table.String(), wantTable)
	}
	if err := access.Commands(&commands, roles(), "k:1", "User:x"); err != nil {
		t.Fatal(err)
	}
	const wantCommands = `kafka-acls.sh --bootstrap-server k:1 --add --allow-principal User:x --operation Read --operation Write --topic t
kafka-acls.sh --bootstrap-server k:1 --add --allow-principal User:x --operation Read --group g
kafka-acls.sh --bootstrap-server k:1 --add --allow-principal User:x --operation Write --transactional-id a- --resource-pattern-type prefixed
`
	if commands.String() != wantCommands {
		t.Errorf("commands:\n%s\nwant\n%s", commands.String(), wantCommands)
	}
}
