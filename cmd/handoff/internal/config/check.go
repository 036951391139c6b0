package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas/settings"
)

// checker collects what is wrong with a configuration.
type checker struct {
	places map[string]string // where a setting was given; none for a default
	errs   []error
}

// bad notes what is wrong with a setting.
func (k *checker) bad(key, format string, args ...any) {
	where := key
	if place := k.places[key]; place != "" {
		where = place + ": " + key
	}
	k.errs = append(k.errs, fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...)))
}

// within notes a number that is not between two others.
func (k *checker) within(key string, n, least, most int) {
	if n < least || n > most {
		k.bad(key, "%d is not between %d and %d", n, least, most)
	}
}

// least notes a time that is too short.
func (k *checker) least(key string, d, least time.Duration) {
	if d < least {
		k.bad(key, "%s is too short: give at least %s", d, least)
	}
}

// longer notes a time that is none.
func (k *checker) longer(key string, d time.Duration, example string) {
	if d <= 0 {
		k.bad(key, "must be longer than 0, e.g. %s", example)
	}
}

// address notes what is not host:port.
func (k *checker) address(key, address, example string) {
	if _, port, err := net.SplitHostPort(address); err != nil || port == "" || strings.ContainsAny(address, " ,/${}") {
		k.bad(key, "%q is not host:port, e.g. %s", address, example)
	}
}

// check returns everything wrong with the configuration.
func (c *Config) check(places map[string]string) error {
	k := &checker{places: places}
	c.Kafka.check(k)
	if c.ClickHouse.Address != "" {
		k.address("clickhouse.address", c.ClickHouse.Address, "clickhouse.example.com:9000")
	}
	if c.ClickHouse.Protocol != "native" && c.ClickHouse.Protocol != "http" {
		k.bad("clickhouse.protocol", "%q is not known; use native or http", c.ClickHouse.Protocol)
	}
	for _, secret := range []struct {
		key string
		ref settings.SecretRef
	}{
		{"kafka.sasl.password", c.Kafka.SASL.Password}, {"clickhouse.password", c.ClickHouse.Password},
		{"http.operator_token", c.HTTP.OperatorToken}, {"consent.ledger_key", c.Consent.LedgerKey},
	} {
		scheme, rest, _ := strings.Cut(string(secret.ref), ":")
		if secret.ref != "" && (scheme != "env" && scheme != "file" || rest == "") {
			k.bad(secret.key, "must be a reference, env:NAME or file:/path")
		}
	}
	for key, value := range map[string]string{"instance": c.Instance, "state_dir": c.StateDir} {
		if value == "" {
			k.bad(key, "must not be empty")
		}
	}
	k.within("run.members", c.Run.Members, 1, 64)
	k.within("run.standby", c.Run.Standby, 0, 64)
	if c.Run.CacheMiB < 1 {
		k.bad("run.cache_mib", "is %d: give at least 1", c.Run.CacheMiB)
	}
	k.address("http.listen", c.HTTP.Listen, "127.0.0.1:8080")
	k.address("http.admin", c.HTTP.Admin, "127.0.0.1:9090")
	if u, err := url.Parse(c.HTTP.PublicURL); places["http.public_url"] != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		k.bad("http.public_url", "%q is not an address that providers can call, e.g. https://handoff.example.com", c.HTTP.PublicURL)
	}
	k.longer("outside.request_timeout", c.Outside.RequestTimeout, "10s")
	if c.Outside.Settle < 0 {
		k.bad("outside.settle", "must not be negative, e.g. 5s")
	}
	k.longer("escalate.desk_silence", c.Escalate.DeskSilence, "1m")
	k.longer("drain", c.Drain, "20s")
	return errors.Join(k.errs...)
}

func (c *Kafka) check(k *checker) {
	if len(c.Brokers) == 0 {
		k.bad("kafka.brokers", "at least one host:port is needed")
	}
	for _, broker := range c.Brokers {
		k.address("kafka.brokers", broker, "kafka.example.com:9092")
	}
	k.within("kafka.partitions", c.Partitions, 1, 4096)
	if c.Replication != -1 {
		k.within("kafka.replication", c.Replication, 1, 32767)
	}
	switch c.SASL.Mechanism {
	case "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
	default:
		k.bad("kafka.sasl.mechanism", "%q is not known; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.SASL.Mechanism)
	}
	if c.SASL.Mechanism != "" && (c.SASL.User == "" || c.SASL.Password == "") {
		k.bad("kafka.sasl.mechanism", "user and password are needed with a mechanism: set kafka.sasl.user and kafka.sasl.password")
	}
	k.least("kafka.session_timeout", c.SessionTimeout, time.Second)
	k.least("kafka.transaction_timeout", c.TransactionTimeout, time.Second)
}
