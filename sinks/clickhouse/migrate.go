package clickhouse

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"text/template"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/database/dialect"

	"github.com/handoff-dev/handoff/pipeline"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable is where goose keeps what has been applied.
const versionTable = "schema_versions"

// dedupWindow is how many of the last inserts every table remembers, per
// partition of it. One insert a second and partition: hours.
const dedupWindow = 10_000

// Migrate makes the database, its tables and its views, or brings them up to
// date. It may run again at any time, and by several processes at once: every
// statement can be repeated.
//
// A server older than 24.8 is refused; that error wraps
// [pipeline.ErrPermanent], others may pass.
func (db *DB) Migrate(ctx context.Context) error {
	if err := db.checkVersion(); err != nil {
		return err
	}
	if err := db.conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+db.cfg.Database+db.cfg.onCluster()); err != nil {
		return fmt.Errorf("create the ClickHouse database %s: %w", db.cfg.Database, err)
	}
	list, err := db.cfg.migrations()
	if err != nil {
		return err
	}
	store, err := database.NewStoreFromQuerier(db.name(versionTable), versions{db.cfg})
	if err != nil {
		return fmt.Errorf("prepare ClickHouse migrations: %w", err)
	}
	opt := db.cfg.options()
	opt.Settings = clickhouse.Settings{"async_insert": 0}
	std := clickhouse.OpenDB(opt)
	defer func() { _ = std.Close() }() // nothing is pending
	provider, err := goose.NewProvider(goose.DialectCustom, std, nil,
		goose.WithStore(store), goose.WithGoMigrations(list...), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("prepare ClickHouse migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate ClickHouse: %w", err)
	}
	return nil
}

// oldest is the first ClickHouse whose SQL the migrations are written in.
func oldest() proto.Version { return proto.Version{Major: 24, Minor: 8} }

// checkVersion asks the server for its version.
func (db *DB) checkVersion() error {
	server, err := db.conn.ServerVersion()
	if err != nil {
		return fmt.Errorf("ask ClickHouse for its version: %w", steer(err))
	}
	return supported(server.Version)
}

func supported(v proto.Version) error {
	if !proto.CheckMinVersion(oldest(), v) {
		return fmt.Errorf("%w: ClickHouse %d.%d is too old, %d.%d or newer is needed", pipeline.ErrPermanent, v.Major, v.Minor, oldest().Major, oldest().Minor)
	}
	return nil
}

// migrations renders the embedded files into goose's list.
func (c Config) migrations() ([]*goose.Migration, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, fmt.Errorf("list ClickHouse migrations: %w", err)
	}
	var list []*goose.Migration
	for _, file := range files {
		number, _, _ := strings.Cut(path.Base(file), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s has no number: %w", file, err)
		}
		statements, err := c.render(file)
		if err != nil {
			return nil, err
		}
		list = append(list, goose.NewGoMigration(version, &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
			for i, s := range statements {
				if _, err := db.ExecContext(ctx, s); err != nil {
					return fmt.Errorf("%s, statement %d: %w", path.Base(file), i+1, err)
				}
			}
			return nil
		}}, nil))
	}
	return list, nil
}

// render makes the statements of one file for this configuration. A statement
// ends with a semicolon at the end of a line.
func (c Config) render(file string) ([]string, error) {
	text, err := migrations.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read migration %s: %w", file, err)
	}
	t, err := template.New(file).Funcs(nil).Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("parse migration %s: %w", file, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, layout{c}); err != nil {
		return nil, fmt.Errorf("render migration %s: %w", file, err)
	}
	var statements []string
	for _, s := range strings.Split(b.String(), ";\n") {
		if s = strings.TrimSpace(s); s != "" {
			statements = append(statements, s)
		}
	}
	return statements, nil
}

// layout is what migrations are written with.
type layout struct{ cfg Config }

// Name is a table's qualified name in a query.
func (l layout) Name(table string) string { return l.cfg.Database + "." + table }

// Table is a table's qualified name in a definition.
func (l layout) Table(table string) string { return l.Name(table) + l.cfg.onCluster() }

// Engine is a table engine, replicated where that is configured.
func (l layout) Engine(name string) string {
	if l.cfg.Replicated {
		return "Replicated" + name
	}
	return name
}

// Settings of every table: whole parts expire, and tokens are remembered by
// plain and by replicated tables.
func (l layout) Settings() string {
	return fmt.Sprintf("ttl_only_drop_parts = 1, non_replicated_deduplication_window = %d, replicated_deduplication_window = %d, replicated_deduplication_window_seconds = 604800",
		dedupWindow, dedupWindow)
}

func (c Config) onCluster() string {
	if c.Cluster == "" {
		return ""
	}
	return " ON CLUSTER " + c.Cluster
}

// versions is goose's ClickHouse dialect for this configuration's layout.
type versions struct{ cfg Config }

var _ dialect.Querier = versions{}

// CreateTable implements dialect.Querier.
func (v versions) CreateTable(table string) string {
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s%s (version_id Int64, is_applied UInt8, date Date DEFAULT now(), tstamp DateTime DEFAULT now()) ENGINE = %s ORDER BY version_id",
		table, v.cfg.onCluster(), layout{v.cfg}.Engine("MergeTree"))
}

// InsertVersion implements dialect.Querier.
func (v versions) InsertVersion(table string) string {
	return "INSERT INTO " + table + " (version_id, is_applied) VALUES ($1, $2)"
}

// DeleteVersion implements dialect.Querier.
func (v versions) DeleteVersion(table string) string {
	return "ALTER TABLE " + table + v.cfg.onCluster() + " DELETE WHERE version_id = $1 SETTINGS mutations_sync = 2"
}

// GetMigrationByVersion implements dialect.Querier.
func (v versions) GetMigrationByVersion(table string) string {
	return "SELECT tstamp, is_applied FROM " + table + " WHERE version_id = $1 ORDER BY tstamp DESC LIMIT 1"
}

// ListMigrations implements dialect.Querier. A version that two processes
// applied at once is listed once.
func (v versions) ListMigrations(table string) string {
	return "SELECT version_id, max(is_applied) FROM " + table + " GROUP BY version_id ORDER BY version_id DESC"
}

// GetLatestVersion implements dialect.Querier.
func (v versions) GetLatestVersion(table string) string {
	return "SELECT max(version_id) FROM " + table
}
