// Package config reads the process's configuration: defaults, then a YAML file, then environment
// variables, then flags; each overrides what came before. Shop settings are not in it: they travel on
// a topic (schemas/settings).
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/stages/escalate"
)

// Config of one process.
type Config struct {
	Kafka      Kafka      `koanf:"kafka"`
	ClickHouse ClickHouse `koanf:"clickhouse"`
	// Instance names this process among its peers, stable over restarts: transactional ids and static
	// group membership come from it. Default: the host name.
	Instance string `koanf:"instance"`
	// StateDir holds the local state (rebuilt from Kafka when lost). Default ./.handoff/state.
	StateDir   string     `koanf:"state_dir"`
	Run        Run        `koanf:"run"`
	HTTP       HTTP       `koanf:"http"`
	Outside    Outside    `koanf:"outside"`
	Escalate   Escalate   `koanf:"escalate"`
	Classifier Classifier `koanf:"classifier"`
	Consent    Consent    `koanf:"consent"`
	Log        Log        `koanf:"log"`
	// Drain bounds a graceful stop. Default 20s.
	Drain time.Duration `koanf:"drain"`
}

// Run is how stages run in a process.
type Run struct {
	// Members is how many members of its consumer group each stage is in one process. While one waits
	// for its transaction to end, another works: 2 makes a busy process faster. Default 1.
	Members int `koanf:"members"`
	// Standby is how many processes keep a copy of a partition's state beside the one that owns it, so that
	// one of them is at work at once when that one is gone. Each copy costs the disk of the state. Default 0.
	Standby int `koanf:"standby"`
	// CacheMiB bounds the memory of hot state of each stage. Default 256.
	CacheMiB int `koanf:"cache_mib"`
}

// Kafka is how to reach the cluster.
type Kafka struct {
	// Brokers are the bootstrap servers, host:port.
	Brokers []string `koanf:"brokers"`
	// TLS of connections to the brokers.
	TLS TLS `koanf:"tls"`
	// SASL authentication; none by default.
	SASL SASL `koanf:"sasl"`
	// Partitions of mailboxes and changelogs, fixed when the topics are created. Default 64.
	Partitions int `koanf:"partitions"`
	// Replication factor of created topics; -1 is the cluster's default.
	Replication int `koanf:"replication"`
	// UniqueIDs makes transactional ids unique per start and membership dynamic. Only for the
	// development broker; on a real one it makes readers wait for the transaction time-out.
	UniqueIDs bool `koanf:"unique_ids"`
	// SessionTimeout is how long a silent member keeps its partitions. Default 45s.
	SessionTimeout time.Duration `koanf:"session_timeout"`
	// TransactionTimeout is how long the cluster keeps the open transaction of a process that died and
	// did not come back. Default 15s.
	TransactionTimeout time.Duration `koanf:"transaction_timeout"`
}

// TLS of a connection.
type TLS struct {
	// Enabled turns TLS on.
	Enabled bool `koanf:"enabled"`
	// CA is a PEM file of roots to trust; the system's by default.
	CA string `koanf:"ca"`
	// Cert is a PEM file of our own certificate, where the other side asks for one.
	Cert string `koanf:"cert"`
	// Key is a PEM file of its private key.
	Key string `koanf:"key"`
	// ServerName expected in the certificate; the address's host by default.
	ServerName string `koanf:"server_name"`
}

// SASL authentication.
type SASL struct {
	// Mechanism: "", "PLAIN", "SCRAM-SHA-256" or "SCRAM-SHA-512".
	Mechanism string `koanf:"mechanism"`
	// User to authenticate as.
	User string `koanf:"user"`
	// Password is a reference, env:NAME or file:/path.
	Password settings.SecretRef `koanf:"password"`
}

// ClickHouse is where analytics go.
type ClickHouse struct {
	// Address, host:port; empty turns the sink off.
	Address string `koanf:"address"`
	// Protocol "native" (default) or "http".
	Protocol string `koanf:"protocol"`
	// Database of the tables; created where it is missing. Default handoff.
	Database string `koanf:"database"`
	// User to authenticate as. Default default.
	User string `koanf:"user"`
	// Password is a reference, env:NAME or file:/path.
	Password settings.SecretRef `koanf:"password"`
	TLS      TLS                `koanf:"tls"`
	// Cluster makes tables replicated and DDL ON CLUSTER.
	Cluster string `koanf:"cluster"`
}

// HTTP endpoints of the process.
type HTTP struct {
	// Listen is the gateway's address. Default 127.0.0.1:8080.
	Listen string `koanf:"listen"`
	// PublicURL is how providers reach the gateway, before any proxy: what they sign. Default http://<listen>.
	PublicURL string `koanf:"public_url"`
	// Admin is the address of health, readiness and metrics. Default 127.0.0.1:9090.
	Admin string `koanf:"admin"`
	// OperatorToken guards the operator's calls; a reference, env:NAME or file:/path.
	OperatorToken settings.SecretRef `koanf:"operator_token"`
}

// Outside is about requests to providers, desks and bots.
type Outside struct {
	// RequestTimeout bounds each request. Default 10s. A call that another process may still be making
	// is looked up after this and Settle.
	RequestTimeout time.Duration `koanf:"request_timeout"`
	// Settle is how long after its time-out a request may still take effect. Default 5s.
	Settle time.Duration `koanf:"settle"`
}

// Escalate is about the stage that brings conversations to people.
type Escalate struct {
	// DeskSilence is how long a ticket may be on its way before the subscriber is told, once, that
	// support cannot be reached. Default 1m.
	DeskSilence time.Duration `koanf:"desk_silence"`
}

// Classifier is about what reads messages.
type Classifier struct {
	// Models is the directory of the shops' own models, files that `handoff train` made, NAME.model; a shop's
	// setting classifier.model names one. They are read when the process starts. Default none.
	Models string `koanf:"models"`
}

// Consent is about the stage that keeps who may be texted.
type Consent struct {
	// LedgerKey is the secret of the hash that evidence of consent is reduced to when its time is over (C9), a
	// reference, env:NAME or file:/path, of at least 32 bytes, the same in all processes. Default none: evidence
	// is kept for good, and the process says so when it starts.
	LedgerKey settings.SecretRef `koanf:"ledger_key"`
}

// Log of the process.
type Log struct {
	// Level: debug, info (default), warn, error.
	Level string `koanf:"level"`
	// Format: text (default) or json.
	Format string `koanf:"format"`
}

// envPrefix of environment variables: HANDOFF_KAFKA__BROKERS sets kafka.brokers.
const envPrefix = "HANDOFF_"

// Load reads the configuration. file may be empty; set holds "key=value" from flags.
func Load(file string, set []string) (*Config, error) {
	k := koanf.New(".")
	if err := k.Load(confmap.Provider(defaults(), "."), nil); err != nil {
		return nil, fmt.Errorf("configuration defaults: %w", err)
	}
	known := map[string]bool{}
	for _, key := range k.Keys() {
		known[key] = true
	}
	if file != "" {
		if err := loadFile(k, file, known); err != nil {
			return nil, err
		}
	}
	if err := loadEnv(k, known); err != nil {
		return nil, err
	}
	for _, s := range set {
		key, value, ok := strings.Cut(s, "=")
		if !ok || !known[key] {
			return nil, fmt.Errorf("--set %s: want key=value with a key of `handoff config print`", s)
		}
		if err := k.Set(key, listed(key, value)); err != nil {
			return nil, fmt.Errorf("--set %s: %w", s, err)
		}
	}
	c := &Config{}
	if err := k.Unmarshal("", c); err != nil {
		return nil, undecoded(err)
	}
	if c.HTTP.PublicURL == "" {
		c.HTTP.PublicURL = "http://" + c.HTTP.Listen
	}
	return c, c.check()
}

// undecoded says which settings have values of another kind than theirs, in one line.
func undecoded(err error) error {
	var parts []string
	for line := range strings.Lines(err.Error()) {
		if name, why, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "'"), "' "); ok {
			parts = append(parts, name+": "+why)
		}
	}
	if len(parts) == 0 {
		return fmt.Errorf("configuration: %w", err)
	}
	return fmt.Errorf("configuration: %s; docs/reference/configuration.md has what each takes", strings.Join(parts, "; "))
}

func defaults() map[string]any {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "handoff"
	}
	return map[string]any{
		"kafka.brokers": []string{"127.0.0.1:9092"}, "kafka.partitions": schemas.DefaultPartitions, "kafka.replication": -1,
		"kafka.unique_ids": false, "kafka.session_timeout": "45s", "kafka.transaction_timeout": "15s",
		"kafka.tls.enabled": false, "kafka.tls.ca": "", "kafka.tls.cert": "", "kafka.tls.key": "", "kafka.tls.server_name": "",
		"kafka.sasl.mechanism": "", "kafka.sasl.user": "", "kafka.sasl.password": "",
		"clickhouse.address": "", "clickhouse.protocol": "native", "clickhouse.database": "handoff", "clickhouse.user": "default",
		"clickhouse.password": "", "clickhouse.cluster": "",
		"clickhouse.tls.enabled": false, "clickhouse.tls.ca": "", "clickhouse.tls.cert": "", "clickhouse.tls.key": "", "clickhouse.tls.server_name": "",
		"instance": host, "state_dir": filepath.Join(".handoff", "state"),
		"run.members": 1, "run.standby": 0, "run.cache_mib": 256,
		"http.listen": "127.0.0.1:8080", "http.public_url": "", "http.admin": "127.0.0.1:9090", "http.operator_token": "",
		"outside.request_timeout": "10s", "outside.settle": "5s",
		"escalate.desk_silence": escalate.DefaultDeskSilence.String(),
		"classifier.models":     "", "consent.ledger_key": "",
		"log.level": "info", "log.format": "text",
		"drain": "20s",
	}
}

// loadFile merges a YAML file; a key that does not exist is refused with its line.
func loadFile(k *koanf.Koanf, file string, known map[string]bool) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("configuration file %s: %w", file, err)
	}
	for key := range flatten("", doc) {
		if !known[key] {
			return fmt.Errorf("configuration file %s, line %d: %s is not a setting; `handoff config print` lists them", file, lineOf(raw, key), key)
		}
	}
	if err := k.Load(confmap.Provider(doc, ""), nil); err != nil {
		return fmt.Errorf("configuration file %s: %w", file, err)
	}
	return nil
}

func flatten(prefix string, doc map[string]any) map[string]any {
	out := map[string]any{}
	for name, v := range doc {
		key := strings.TrimPrefix(prefix+"."+name, ".")
		if sub, ok := v.(map[string]any); ok {
			for k, v := range flatten(key, sub) {
				out[k] = v
			}
			continue
		}
		out[key] = v
	}
	return out
}

// lineOf finds the line of the last part of a key; 0 when it is not found.
func lineOf(raw []byte, key string) int {
	name := key[strings.LastIndexByte(key, '.')+1:] + ":"
	for i, line := range strings.Split(string(raw), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), name) {
			return i + 1
		}
	}
	return 0
}

// loadEnv merges HANDOFF_… variables; "__" divides parts. An unknown one that has parts is refused;
// others are somebody else's, a secret's for instance.
func loadEnv(k *koanf.Koanf, known map[string]bool) error {
	var unknown []string
	provider := env.Provider(".", env.Opt{Prefix: envPrefix, TransformFunc: func(name, value string) (string, any) {
		key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "__", ".")
		if key == "config" {
			return "", nil // the flag's own variable
		}
		if known[key] {
			return key, listed(key, value)
		}
		if strings.Contains(key, ".") {
			unknown = append(unknown, name)
		}
		return "", nil
	}})
	if err := k.Load(provider, nil); err != nil {
		return fmt.Errorf("configuration from the environment: %w", err)
	}
	if len(unknown) > 0 {
		return fmt.Errorf("environment: %s is not a setting; HANDOFF_KAFKA__BROKERS sets kafka.brokers, and so on", strings.Join(unknown, ", "))
	}
	return nil
}

// listed splits the values of settings that are lists.
func listed(key, value string) any {
	if key == "kafka.brokers" {
		return strings.Split(value, ",")
	}
	return value
}

// check returns everything wrong with the configuration.
func (c *Config) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Kafka.Brokers) == 0 {
		bad("kafka.brokers: at least one host:port is needed")
	}
	if c.Kafka.Partitions < 1 || c.Kafka.Partitions > 4096 {
		bad("kafka.partitions: %d is not between 1 and 4096", c.Kafka.Partitions)
	}
	switch c.Kafka.SASL.Mechanism {
	case "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
	default:
		bad("kafka.sasl.mechanism: %q is not known; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.Kafka.SASL.Mechanism)
	}
	if c.Kafka.SASL.Mechanism != "" && (c.Kafka.SASL.User == "" || c.Kafka.SASL.Password == "") {
		bad("kafka.sasl: user and password are needed with a mechanism")
	}
	if c.Kafka.SessionTimeout < time.Second || c.Kafka.TransactionTimeout < time.Second {
		bad("kafka: session_timeout and transaction_timeout must be at least 1s")
	}
	if c.ClickHouse.Protocol != "native" && c.ClickHouse.Protocol != "http" {
		bad("clickhouse.protocol: %q is not known; use native or http", c.ClickHouse.Protocol)
	}
	for key, ref := range map[string]settings.SecretRef{
		"kafka.sasl.password": c.Kafka.SASL.Password, "clickhouse.password": c.ClickHouse.Password, "http.operator_token": c.HTTP.OperatorToken,
		"consent.ledger_key": c.Consent.LedgerKey,
	} {
		if ref != "" && !strings.HasPrefix(string(ref), "env:") && !strings.HasPrefix(string(ref), "file:") {
			bad("%s: must be a reference, env:NAME or file:/path", key)
		}
	}
	if c.Instance == "" || c.StateDir == "" {
		bad("instance and state_dir must not be empty")
	}
	if c.Run.Members < 1 || c.Run.Members > 64 {
		bad("run.members is %d: give 1 to 64", c.Run.Members)
	}
	if c.Run.CacheMiB < 1 {
		bad("run.cache_mib is %d: give at least 1", c.Run.CacheMiB)
	}
	if c.Outside.RequestTimeout <= 0 || c.Outside.Settle < 0 {
		bad("outside: request_timeout must be longer than 0 and settle not negative")
	}
	if c.Escalate.DeskSilence <= 0 {
		bad("escalate.desk_silence: must be longer than 0, e.g. 1m")
	}
	if c.Drain <= 0 {
		bad("drain: must be longer than 0, e.g. 20s")
	}
	return errors.Join(errs...)
}
