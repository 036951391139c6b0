package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/handoff-dev/handoff/sinks/clickhouse/embedded"
)

// open connects clickhouse-go as any program would.
func open(t *testing.T, s *embedded.Server, change func(*clickhouse.Options)) driver.Conn {
	t.Helper()
	opt := &clickhouse.Options{Protocol: clickhouse.HTTP, Addr: []string{s.Addr()}, MaxOpenConns: 32}
	if change != nil {
		change(opt)
	}
	conn, err := clickhouse.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func execute(t *testing.T, conn driver.Conn, sql string, args ...any) {
	t.Helper()
	if err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func scanOne[T any](t *testing.T, conn driver.Conn, sql string, args ...any) (v T) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// TestClientConformance drives the engine through clickhouse-go, which is made
// for servers, with every compression it has.
func TestClientConformance(t *testing.T) {
	s := startEngine(t, "")
	for name, method := range map[string]clickhouse.CompressionMethod{
		"none": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD,
		"gzip": clickhouse.CompressionGZIP, "deflate": clickhouse.CompressionDeflate,
	} {
		t.Run(name, func(t *testing.T) {
			conn := open(t, s, func(o *clickhouse.Options) {
				o.Compression = &clickhouse.Compression{Method: method, Level: 3}
				if method == clickhouse.CompressionGZIP || method == clickhouse.CompressionDeflate {
					o.Settings = clickhouse.Settings{"enable_http_compression": 1}
				}
			})
			if err := conn.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			roundTrip(t, conn, "types_"+name)
		})
	}
}

// roundTrip writes and reads every kind of column that the sink's tables use.
func roundTrip(t *testing.T, conn driver.Conn, table string) {
	t.Helper()
	execute(t, conn, fmt.Sprintf(`CREATE TABLE %s (
		id UInt64, at DateTime64(3, 'UTC') CODEC(Delta, ZSTD), shop LowCardinality(String), text String,
		score Nullable(Float64), tags Array(LowCardinality(String)), attr Map(String, String), kind Enum8('in' = 1, 'out' = 2),
		flag Bool, day Date, pair Tuple(a Int32, b String), price Decimal(18, 4), key UUID
	) ENGINE = MergeTree ORDER BY id`, table))
	batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO "+table)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 30, 15, 123e6, time.UTC)
	score := 0.25
	key := "61f0c404-5cb3-11e7-907b-a6006ad3dba0"
	for i := range uint64(3) {
		var sc *float64
		if i == 1 {
			sc = &score
		}
		if err := batch.Append(i, at, "shop", "tëxt 🙏\n", sc, []string{"a", "b"}, map[string]string{"k": "v"}, "out", true, at, []any{int32(1), "x"}, "12.5", key); err != nil {
			t.Fatal(err)
		}
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	var got struct {
		at    time.Time
		shop  string
		text  string
		score *float64
		tags  []string
		attr  map[string]string
		kind  string
		flag  bool
		key   string
	}
	row := conn.QueryRow(t.Context(), "SELECT at, shop, text, score, tags, attr, kind, flag, toString(key) FROM "+table+" WHERE id = {id:UInt64}", clickhouse.Named("id", 1))
	if err := row.Scan(&got.at, &got.shop, &got.text, &got.score, &got.tags, &got.attr, &got.kind, &got.flag, &got.key); err != nil {
		t.Fatal(err)
	}
	if !got.at.Equal(at) || got.shop != "shop" || got.text != "tëxt 🙏\n" || got.score == nil || *got.score != score ||
		len(got.tags) != 2 || got.attr["k"] != "v" || got.kind != "out" || !got.flag || got.key != key {
		t.Errorf("read back %+v", got)
	}
	rows, err := conn.Query(t.Context(), "SELECT * FROM "+table+" ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || n != 3 {
		t.Errorf("all columns: %d rows, %v", n, err)
	}
}

func TestErrorsCarryTheEnginesCode(t *testing.T) {
	s := startEngine(t, "")
	conn := open(t, s, nil)
	execute(t, conn, "CREATE TABLE narrow (n UInt8, CONSTRAINT small CHECK n < 10) ENGINE = MergeTree ORDER BY n")
	for _, c := range []struct {
		sql  string
		code int32
	}{
		{"SELECT * FROM missing", 60},
		{"SELECT missing", 47},
		{"SELEC 1", 62},
		{"SELECT 1; SELECT 2", 62},
		{"SELECT {unset:UInt8}", 456},
		{"SELECT toUInt8('x')", 6},
		{"USE missing", 81},
		{"INSERT INTO missing VALUES (1)", 60},
		{"INSERT INTO narrow VALUES (11)", 469},
		{"INSERT INTO narrow FORMAT Nonsense x", 73},
		{"CREATE TABLE narrow (n UInt8) ENGINE = Memory", 57},
		{"SELECT sleep(2) SETTINGS max_execution_time = 0.2", 159},
		{"SELECT 1 SETTINGS missing_setting = 1", 115},
	} {
		var ex *clickhouse.Exception
		if err := conn.Exec(t.Context(), c.sql); !errors.As(err, &ex) {
			t.Errorf("%s: %v, expected code %d", c.sql, err, c.code)
		} else if ex.Code != c.code {
			t.Errorf("%s: code %d, expected %d: %s", c.sql, ex.Code, c.code, ex.Message)
		}
	}
	if n := scanOne[uint64](t, conn, "SELECT count() FROM narrow"); n != 0 {
		t.Errorf("refused inserts left %d rows", n)
	}
}

// TestErrorBehindOutput: a failure after the first block was sent must not
// look like the end of the result.
func TestErrorBehindOutput(t *testing.T) {
	conn := open(t, startEngine(t, ""), nil)
	rows, err := conn.Query(t.Context(), "SELECT number, throwIf(number = 500000) FROM numbers(1000000) SETTINGS max_block_size = 1000, max_threads = 1")
	n := 0
	if err == nil {
		for rows.Next() {
			n++
		}
		err = errors.Join(rows.Err(), rows.Close())
	}
	var ex *clickhouse.Exception
	if !errors.As(err, &ex) || ex.Code != 395 || n == 0 {
		t.Fatalf("%d rows and then %v, expected some rows and then code 395", n, err)
	}
}

func TestParameters(t *testing.T) {
	conn := open(t, startEngine(t, ""), nil)
	for _, text := range []string{"", "plain", "it's \\ a 'quoted' one", "tab\tline\nend\r", "nul\x00byte", "🙏 émoji", "{x:String}", `\N`} {
		if got := scanOne[string](t, conn, "SELECT {v:String}", clickhouse.Named("v", text)); got != text {
			t.Errorf("%q came back as %q", text, got)
		}
	}
	if got := scanOne[*string](t, conn, "SELECT {v:Nullable(String)}", clickhouse.Named("v", nil)); got != nil {
		t.Errorf("NULL came back as %q", *got)
	}
	if got := scanOne[uint64](t, conn, "SELECT arraySum({v:Array(UInt64)})", clickhouse.Named("v", []uint64{1, 2, 39})); got != 42 {
		t.Errorf("the array's sum is %d", got)
	}
	execute(t, conn, "CREATE TABLE given (n Int32, s String) ENGINE = Memory")
	execute(t, conn, "INSERT INTO given VALUES ({n:Int32}, {s:String})", clickhouse.Named("n", 7), clickhouse.Named("s", "x'y"))
	if got := scanOne[string](t, conn, "SELECT s FROM given WHERE n = 7"); got != "x'y" {
		t.Errorf("inserted %q", got)
	}
}

// TestMillionRows is the size of twenty full batches in one insert.
func TestMillionRows(t *testing.T) {
	const rows = 1_000_000
	conn := open(t, startEngine(t, ""), nil)
	execute(t, conn, "CREATE TABLE big (id UInt64, text String, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY id")
	ids, texts, times := make([]uint64, rows), make([]string, rows), make([]time.Time, rows)
	for i := range ids {
		ids[i], texts[i], times[i] = uint64(i), "message text", time.UnixMilli(int64(i)).UTC()
	}
	start := time.Now()
	batch, err := conn.PrepareBatch(t.Context(), "INSERT INTO big")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(batch.Column(0).Append(ids), batch.Column(1).Append(texts), batch.Column(2).Append(times), batch.Send()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rows inserted in %s", rows, time.Since(start))
	start = time.Now()
	result, err := conn.Query(t.Context(), "SELECT id, text, at FROM big")
	if err != nil {
		t.Fatal(err)
	}
	var sum uint64
	for result.Next() {
		var id uint64
		var text string
		var at time.Time
		if err := result.Scan(&id, &text, &at); err != nil {
			t.Fatal(err)
		}
		sum += id
	}
	if err := errors.Join(result.Err(), result.Close()); err != nil || sum != rows*(rows-1)/2 {
		t.Fatalf("sum %d, %v", sum, err)
	}
	t.Logf("%d rows read in %s", rows, time.Since(start))
}

// TestConcurrentClients: settings, databases and parameters of one request
// never show in another, and one slow statement holds up nobody.
func TestConcurrentClients(t *testing.T) {
	conn := open(t, startEngine(t, ""), nil)
	execute(t, conn, "CREATE TABLE shared (client UInt32, n UInt32) ENGINE = MergeTree ORDER BY (client, n)")
	const clients, inserts = 8, 10
	slow, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = conn.Exec(slow, "SELECT sum(sleepEachRow(1)) FROM numbers(30) SETTINGS max_block_size = 1") // cancelled below
	})
	var work sync.WaitGroup
	for c := range clients {
		work.Go(func() {
			ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"max_block_size": 1000 + c}))
			for i := range inserts {
				var size, own uint64
				err := conn.QueryRow(ctx, "SELECT toUInt64(getSetting('max_block_size')), {own:UInt64}", clickhouse.Named("own", c)).Scan(&size, &own)
				if err != nil || size != uint64(1000+c) || own != uint64(c) {
					t.Errorf("client %d saw size %d and parameter %d, %v", c, size, own, err)
				}
				if err := conn.Exec(ctx, fmt.Sprintf("INSERT INTO shared VALUES (%d, %d)", c, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	cancel()
	wg.Wait()
	for deadline := time.Now().Add(10 * time.Second); scanOne[uint64](t, conn, "SELECT count() FROM system.processes WHERE query LIKE 'SELECT sum(sleepEachRow%'") > 0; {
		if time.Now().After(deadline) {
			t.Fatal("a statement runs on after its client went away")
		}
		time.Sleep(20 * time.Millisecond) // polls the condition, with a bound
	}
	if n := scanOne[uint64](t, conn, "SELECT uniqExact(client, n) FROM shared"); n != clients*inserts {
		t.Errorf("%d rows, expected %d", n, clients*inserts)
	}
}

// TestTokensSurviveARestart: a repeated insert with the same token is dropped,
// in this process and in the next one on the same directory.
func TestTokensSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s := startEngine(t, dir)
	conn := open(t, s, nil)
	execute(t, conn, "CREATE DATABASE kept ENGINE = Atomic")
	execute(t, conn, "CREATE TABLE kept.t (n UInt64) ENGINE = MergeTree PARTITION BY n % 3 ORDER BY n SETTINGS non_replicated_deduplication_window = 100")
	insert := func(conn driver.Conn, token string) {
		t.Helper()
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{
			"insert_deduplication_token": token, "async_insert": 0, "insert_deduplicate": 1,
		}))
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO kept.t")
		if err != nil {
			t.Fatal(err)
		}
		for n := range uint64(9) {
			err = errors.Join(err, batch.Append(n))
		}
		if err := errors.Join(err, batch.Send()); err != nil {
			t.Fatal(err)
		}
	}
	insert(conn, "topic/0/0-9")
	insert(conn, "topic/0/0-9")
	insert(conn, "topic/0/9-18")
	if n := scanOne[uint64](t, conn, "SELECT count() FROM kept.t"); n != 18 {
		t.Fatalf("%d rows, expected 18", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	conn = open(t, startEngine(t, dir), nil)
	insert(conn, "topic/0/9-18")
	if n := scanOne[uint64](t, conn, "SELECT count() FROM kept.t"); n != 18 {
		t.Fatalf("%d rows after the restart, expected 18", n)
	}
}

func TestPassword(t *testing.T) {
	s, err := embedded.Start(t.Context(), embedded.Options{ExeArgs: []string{childArgument}, Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	conn := open(t, s, func(o *clickhouse.Options) { o.Auth.Password = "wrong"; o.Auth.Username = "default" })
	var ex *clickhouse.Exception
	if err := conn.Ping(t.Context()); !errors.As(err, &ex) || ex.Code != 516 {
		t.Errorf("a wrong password: %v, expected code 516", err)
	}
	conn = open(t, s, func(o *clickhouse.Options) { o.Auth.Password = "s3cret"; o.Auth.Username = "default" })
	if err := conn.Ping(t.Context()); err != nil {
		t.Errorf("the right password: %v", err)
	}
	if strings.Contains(fmt.Sprint(s.Addr()), "0.0.0.0") {
		t.Error("the engine listens beyond loopback")
	}
}
