package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/config"
	"github.com/handoff-dev/handoff/schemas/settings"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "handoff.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestEachSourceOverridesTheOneBefore(t *testing.T) {
	file := write(t, "kafka:\n  brokers: [file:1]\n  partitions: 16\ndrain: 7s\n")
	t.Setenv("HANDOFF_KAFKA__PARTITIONS", "32")
	t.Setenv("HANDOFF_KAFKA__BROKERS", "env:1,env:2")
	c, err := config.Load(file, []string{"kafka.brokers=flag:1"})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.Kafka.Brokers, ","); got != "flag:1" {
		t.Errorf("brokers %s, want the flag's", got)
	}
	if c.Kafka.Partitions != 32 {
		t.Errorf("partitions %d, want the environment's 32", c.Kafka.Partitions)
	}
	if c.Drain != 7*time.Second {
		t.Errorf("drain %s, want the file's 7s", c.Drain)
	}
	if c.HTTP.PublicURL != "http://127.0.0.1:8080" {
		t.Errorf("public URL %q, want it made from the address", c.HTTP.PublicURL)
	}
}

func TestBadConfigurationIsRefusedWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct {
		file, env string
		set       []string
		want      string
	}{
		"unknown key in the file": {file: "kafka:\n  brokers: [a:1]\n  broker: b\n", want: "line 3: kafka.broker is not a setting"},
		"not YAML":                {file: "kafka: [", want: "configuration file"},
		"unknown variable":        {env: "HANDOFF_KAFKA__BROKRES", want: "HANDOFF_KAFKA__BROKRES"},
		"unknown flag":            {set: []string{"kafka.broker=b"}, want: "--set kafka.broker=b"},
		"mechanism":               {set: []string{"kafka.sasl.mechanism=MD5"}, want: `"MD5" is not known`},
		"plain password":          {set: []string{"clickhouse.password=hunter2"}, want: "must be a reference"},
		"partitions":              {set: []string{"kafka.partitions=0"}, want: "kafka.partitions"},
		"duration":                {set: []string{"drain=soon"}, want: "configuration: drain: "},
		"no number":               {set: []string{"kafka.partitions=many"}, want: "configuration: kafka.partitions: cannot parse value as 'int'"},
		"user without mechanism":  {set: []string{"kafka.sasl.mechanism=PLAIN"}, want: "user and password are needed"},
	} {
		t.Run(name, func(t *testing.T) {
			file := ""
			if c.file != "" {
				file = write(t, c.file)
			}
			if c.env != "" {
				t.Setenv(c.env, "x")
			}
			_, err := config.Load(file, c.set)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error shows a password")
			}
		})
	}
}

func TestPrintReadsBackAndHidesSecrets(t *testing.T) {
	c, err := config.Load("", []string{"clickhouse.password=file:/run/secrets/clickhouse", "clickhouse.address=ch:9000", "kafka.brokers=a:1,b:2"})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := c.Print(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "/run/secrets") || !strings.Contains(out.String(), "file:********") {
		t.Errorf("the secret is not masked:\n%s", out.String())
	}
	again, err := config.Load(write(t, out.String()), nil)
	if err != nil {
		t.Fatalf("what was printed does not read back: %v", err)
	}
	again.ClickHouse.Password = c.ClickHouse.Password
	if a, b := *again, *c; a.ClickHouse != b.ClickHouse || a.HTTP != b.HTTP || a.Drain != b.Drain || strings.Join(a.Kafka.Brokers, ",") != strings.Join(b.Kafka.Brokers, ",") {
		t.Errorf("read back %+v, printed %+v", a, b)
	}
}

func TestSecrets(t *testing.T) {
	t.Setenv("HANDOFF_TEST_SECRET", "s3cret")
	file := write(t, "from a file\n")
	for ref, want := range map[string]string{"": "", "env:HANDOFF_TEST_SECRET": "s3cret", "file:" + file: "from a file"} {
		got, err := config.Secret(settings.SecretRef(ref))
		if err != nil || got != want {
			t.Errorf("Secret(%q) = %q, %v; want %q", ref, got, err, want)
		}
	}
	for _, ref := range []string{"env:HANDOFF_NOT_SET", "file:/does/not/exist", "hunter2"} {
		if got, err := config.Secret(settings.SecretRef(ref)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Secret(%q) = %q, %v; want an error that does not show it", ref, got, err)
		}
	}
}
