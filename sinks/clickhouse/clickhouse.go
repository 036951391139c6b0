// Package clickhouse keeps what happened: it stores the rows of facts in
// ClickHouse, exactly once, and answers what people ask about them.
//
// [Open] connects to a server, a cluster or the embedded engine; the same
// client code and SQL serve all three. [DB.Migrate] makes the tables and
// views. [Sink] is the pipeline's sink. The queries are methods of [DB]; each
// says what it counts. The tables and views are documented in migrations/,
// where data teams read them too.
//
// Exactly once rests on the intent protocol of [pipeline.Sink]: a range of one
// partition of the analytics topic is inserted with a token that names it, and
// every table down the chain remembers tokens. Each row keeps its place in
// the topic, so [DB.Audit] can show that none is there twice.
package clickhouse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Protocol is how the client talks to ClickHouse.
type Protocol string

// The protocols. A server listens for Native on 9000 (TLS 9440) and for HTTP
// on 8123 (TLS 8443); the embedded engine speaks HTTP only.
const (
	Native Protocol = "native"
	HTTP   Protocol = "http"
)

// Config says where ClickHouse is and how the tables are made.
type Config struct {
	// Addr are hosts with ports; the first that answers is used.
	Addr []string
	// Protocol, Native when empty.
	Protocol Protocol
	// Database holds the tables, "handoff" when empty. It is created where
	// it does not exist. Letters, digits and underscores.
	Database string
	// Username and Password; the server's default user when empty.
	Username, Password string
	// TLS, where the server wants it.
	TLS *tls.Config
	// Cluster, where set, is named in ON CLUSTER of every migration. One
	// shard with any number of replicas.
	Cluster string
	// Replicated makes the tables with Replicated engines, whose paths the
	// server's default_replica_path and macros give.
	Replicated bool
	// DialTimeout bounds a connection attempt; 5 s when zero.
	DialTimeout time.Duration
}

// DB is a connection pool to one ClickHouse. It is safe for concurrent use.
type DB struct {
	conn driver.Conn
	cfg  Config
}

// plainName is what a database or cluster may be called: it stands in SQL.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Open makes the pool. It connects to nothing yet: a ClickHouse that is away
// is an error of the first use, not of the start.
func Open(cfg Config) (*DB, error) {
	if cfg.Database == "" {
		cfg.Database = "handoff"
	}
	if cfg.Protocol == "" {
		cfg.Protocol = Native
	}
	if cfg.DialTimeout == 0 {
		cfg.DialTimeout = 5 * time.Second
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("ClickHouse configuration: %w", err)
	}
	conn, err := clickhouse.Open(cfg.options())
	if err != nil {
		return nil, fmt.Errorf("open ClickHouse: %w", err)
	}
	return &DB{conn: conn, cfg: cfg}, nil
}

func (c Config) check() error {
	if len(c.Addr) == 0 {
		return errors.New("no address; give host:port")
	}
	if c.Protocol != Native && c.Protocol != HTTP {
		return fmt.Errorf("protocol %q; use native or http", c.Protocol)
	}
	if !plainName.MatchString(c.Database) {
		return fmt.Errorf("database %q; use letters, digits and underscores", c.Database)
	}
	if c.Cluster != "" && !plainName.MatchString(c.Cluster) {
		return fmt.Errorf("cluster %q; use letters, digits and underscores", c.Cluster)
	}
	return nil
}

// options are the client's. No database is given to the connection: names in
// SQL are qualified, so that the database can be created over it.
func (c Config) options() *clickhouse.Options {
	opt := &clickhouse.Options{
		Addr:            c.Addr,
		Auth:            clickhouse.Auth{Username: c.Username, Password: c.Password},
		TLS:             c.TLS,
		DialTimeout:     c.DialTimeout,
		ReadTimeout:     insertLimit + 30*time.Second,
		MaxOpenConns:    16,
		MaxIdleConns:    4,
		ConnMaxLifetime: 10 * time.Minute,
		Compression:     &clickhouse.Compression{Method: clickhouse.CompressionLZ4},
	}
	if c.Protocol == HTTP {
		opt.Protocol = clickhouse.HTTP
	}
	return opt
}

// Ping says whether ClickHouse answers.
func (db *DB) Ping(ctx context.Context) error {
	if err := db.conn.Ping(ctx); err != nil {
		return fmt.Errorf("reach ClickHouse: %w", err)
	}
	return nil
}

// Conn is the client's pool, for queries that are no method of DB. Tables are
// in the database that [DB.Database] names.
func (db *DB) Conn() driver.Conn { return db.conn }

// Database holds the tables and views.
func (db *DB) Database() string { return db.cfg.Database }

// Close ends the pool.
func (db *DB) Close() error {
	if err := db.conn.Close(); err != nil {
		return fmt.Errorf("close ClickHouse: %w", err)
	}
	return nil
}

// name qualifies a table or view.
func (db *DB) name(table string) string { return db.cfg.Database + "." + table }
