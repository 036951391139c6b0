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
		"unknown variable":       {env: "HANDOFF_KAFKA__BROKRES", want: "HANDOFF_KAFKA__BROKRES"},
		"variable's kind":        {env: "HANDOFF_DRAIN", want: `environment: HANDOFF_DRAIN: "x" is not a duration`},
		"variable's value":       {env: "HANDOFF_HTTP__LISTEN", want: `HANDOFF_HTTP__LISTEN: http.listen: "x" is not host:port`},
		"unknown flag":           {set: []string{"kafka.broker=b"}, want: "--set kafka.broker=b"},
		"mechanism":              {set: []string{"kafka.sasl.mechanism=MD5"}, want: `"MD5" is not known`},
		"plain password":         {set: []string{"clickhouse.password=hunter2"}, want: "must be a reference"},
		"empty reference":        {set: []string{"clickhouse.password=env:"}, want: "must be a reference"},
		"partitions":             {set: []string{"kafka.partitions=0"}, want: "--set: kafka.partitions: 0 is not between 1 and 4096"},
		"duration":               {set: []string{"drain=soon"}, want: `--set: drain: "soon" is not a duration`},
		"duration without unit":  {set: []string{"drain=20"}, want: "--set: drain: 20 has no unit: write 20s, 20m or 20h"},
		"no number":              {set: []string{"kafka.partitions=many"}, want: `--set: kafka.partitions: "many" is not a whole number`},
		"no broker":              {set: []string{"kafka.brokers="}, want: `kafka.brokers: "" is not host:port`},
		"user without mechanism": {set: []string{"kafka.sasl.mechanism=PLAIN"}, want: "user and password are needed"},
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

// TestFileIsRefusedWithItsLine: whatever is wrong with a file is said with its line, the setting and what to do, and
// nothing of it is left out in silence.
func TestFileIsRefusedWithItsLine(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"unknown key":            {"kafka:\n  brokers: [a:1]\n  broker: b\n", ":3:11: kafka.broker: is not a setting"},
		"no YAML":                {"kafka: [", ":1:"},
		"tab":                    {"kafka:\n\tbrokers: [a:1]\n", ":2:1: a tab stands here: indent with spaces"},
		"key twice":              {"drain: 7s\ndrain: 8s\n", `:2:1: "drain" stands here a second time, after line 1; leave one of them out`},
		"list for a file":        {"- a\n", ":1:1: a list stands where a section of keys is expected"},
		"two documents":          {"drain: 7s\n---\ndrain: 8s\n", "there is more than one document"},
		"another encoding":       {"\xff\xfed\x00", ":1:1: is not UTF-8: save it as UTF-8"},
		"dotted key":             {"drain: 7s\nkafka.partitions: 4\n", ":2:19: 'kafka.partitions': write each part on a line of its own"},
		"section as a value":     {"kafka: 3\n", ":1:8: kafka: is a section"},
		"flow within flow":       {"kafka: {brokers: [a:1, b:2]}\n", "kafka.brokers: entry 1 of the list is read as a section of keys: put quotes"},
		"brokers as keys":        {"kafka:\n  brokers: {a: 1}\n", `:2:12: kafka.brokers: takes a list, such as ["a.example.com:9092"`},
		"broker without a port":  {"kafka:\n  brokers: [a]\n", `kafka.brokers: "a" is not host:port, e.g. kafka.example.com:9092`},
		"list as a value":        {"drain: [7s]\n", ":1:8: drain: takes one value, not a list"},
		"keys as a value":        {"drain: {a: 1}\n", "drain: takes one value, not a section of keys"},
		"time without unit":      {"log:\n  level: info\ndrain: 20\n", ":3:8: drain: 20 has no unit: write 20s, 20m or 20h"},
		"time with a part":       {"drain: 1.5\n", ":1:8: drain: 1.5 has no unit"},
		"time with a space":      {"drain: 20 s\n", `:1:8: drain: "20 s" is not a duration, e.g. 500ms`},
		"time that is none":      {"drain: true\n", `:1:8: drain: "true" is not a duration`},
		"size with unit":         {"run:\n  cache_mib: 256MiB\n", `:2:14: run.cache_mib: "256MiB" is not a whole number, which is written without a unit`},
		"half a size":            {"run:\n  cache_mib: 1.5\n", `:2:14: run.cache_mib: "1.5" is not a whole number`},
		"less than nothing":      {"run:\n  standby: -3\n", ":2:12: run.standby: -3 is not between 0 and 64"},
		"yes for true":           {"kafka:\n  tls:\n    enabled: yes\n", `:3:14: kafka.tls.enabled: "yes" is not true or false`},
		"a shell's variable":     {"http:\n  listen: ${LISTEN}\n", `:2:11: http.listen: "${LISTEN}" is not host:port`},
		"a port alone":           {"http:\n  listen: 8080\n", `:2:11: http.listen: "8080" is not host:port, e.g. 127.0.0.1:8080`},
		"no public address":      {"http:\n  public_url: example.com\n", `:2:15: http.public_url: "example.com" is not an address that providers can call`},
		"no copies":              {"kafka:\n  replication: 0\n", ":2:16: kafka.replication: 0 is not between 1 and 32767"},
		"reference without name": {"http:\n  operator_token: \"env:\"\n", ":2:19: http.operator_token: must be a reference"},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, c.file)
			_, err := config.Load(file, nil)
			if err == nil || !strings.HasPrefix(err.Error(), file) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with the file and %q", err, c.want)
			}
		})
	}
}

// TestFileAsEditorsWriteIt: what editors and people do to YAML files without meaning anything by it means nothing.
func TestFileAsEditorsWriteIt(t *testing.T) {
	for name, file := range map[string]string{
		"a mark before it":       "\xef\xbb\xbfkafka:\n  brokers: [a:1, b:2]\ndrain: 7s\n",
		"lines of Windows":       "kafka:\r\n  brokers: [a:1, b:2]\r\ndrain: 7s\r\n",
		"all in flow style":      `{kafka: {brokers: ["a:1", "b:2"]}, drain: 7s}`,
		"a line each":            "kafka:\n  brokers:\n  - a:1\n  - b:2\ndrain: 7s\n",
		"brokers in one text":    "kafka:\n  brokers: a:1, b:2\ndrain: 7s\n",
		"sections without lines": "kafka:\n  brokers: [a:1, b:2]\n  tls:\nclickhouse:\nhttp:\n  listen:\ndrain: 7s\n",
		"anchors":                "kafka:\n  brokers: [a:1, b:2]\n  tls: &t {enabled: false}\nclickhouse:\n  tls: *t\ndrain: 7s\n",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := config.Load(write(t, file), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(c.Kafka.Brokers, " "); got != "a:1 b:2" || c.Drain != 7*time.Second || c.HTTP.Listen != "127.0.0.1:8080" {
				t.Errorf("brokers %s, drain %s, listen %s", got, c.Drain, c.HTTP.Listen)
			}
		})
	}
	for name, file := range map[string]string{"nothing": "", "a comment": "# nothing\n", "a mark alone": "---\n"} {
		if c, err := config.Load(write(t, file), nil); err != nil || c.Drain != 20*time.Second {
			t.Errorf("%s: %v", name, err)
		}
	}
}
