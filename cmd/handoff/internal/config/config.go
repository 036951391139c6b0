// Package config reads the process's configuration: defaults, then a YAML file, then environment
// variables, then flags; each overrides what came before. Shop settings are not in it: they travel on
// a topic (schemas/settings).
package config

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/knadh/koanf/providers/confmap"
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
	in := newInput()
	if file != "" {
		if err := in.file(file); err != nil {
			return nil, err
		}
	}
	if err := in.environment(os.Environ()); err != nil {
		return nil, err
	}
	for _, s := range set {
		if err := in.flag(s); err != nil {
			return nil, err
		}
	}
	if err := k.Load(confmap.Provider(in.values, "."), nil); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c := &Config{}
	if err := k.Unmarshal("", c); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if c.HTTP.PublicURL == "" {
		c.HTTP.PublicURL = "http://" + c.HTTP.Listen
	}
	return c, c.check(in.places)
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
