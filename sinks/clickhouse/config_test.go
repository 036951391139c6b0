package clickhouse_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/sinks/clickhouse"
	"github.com/handoff-dev/handoff/sinks/clickhouse/embedded"
)

func TestConfigRefused(t *testing.T) {
	at := []string{"localhost:9000"}
	for want, cfg := range map[string]clickhouse.Config{
		"no address": {},
		"protocol":   {Addr: at, Protocol: "grpc"},
		"database":   {Addr: at, Database: "a; DROP"},
		"cluster":    {Addr: at, Cluster: "{x}"},
	} {
		if _, err := clickhouse.Open(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, expected %q", cfg, err, want)
		}
	}
	db, err := clickhouse.Open(clickhouse.Config{Addr: at})
	if err != nil || db.Database() != "handoff" {
		t.Errorf("the smallest configuration: %v", err)
	}
}

// TestPasswordAndTLS goes through a proxy that ends TLS, as a hosted
// ClickHouse does.
func TestPasswordAndTLS(t *testing.T) {
	s, err := embedded.Start(t.Context(), embedded.Options{ExeArgs: []string{childArgument}, Password: "s3cret"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	proxy := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: s.Addr()})
	}})
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0) // the distrust below is expected
	proxy.StartTLS()
	defer proxy.Close()
	roots := x509.NewCertPool()
	roots.AddCert(proxy.Certificate())
	cfg := clickhouse.Config{
		Addr: []string{strings.TrimPrefix(proxy.URL, "https://")}, Protocol: clickhouse.HTTP, Database: "other_name",
		Username: "default", Password: "s3cret", TLS: &tls.Config{RootCAs: roots},
	}
	db, err := clickhouse.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	in, records := numbered(0, 0, 30)
	if err := errors.Join(db.Migrate(t.Context()), newSink(db).Write(t.Context(), in, records)); err != nil {
		t.Fatal(err)
	}
	if n := one[uint64](t, db, "SELECT sum(rows) FROM other_name.audit"); n != 30 {
		t.Errorf("%d rows", n)
	}

	cfg.Password = "wrong"
	wrong, err := clickhouse.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = wrong.Close() }()
	if err := newSink(wrong).Write(t.Context(), in, records); !errors.Is(err, pipeline.ErrPermanent) || !strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a wrong password: %v", err)
	}
	cfg.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
	distrusted, err := clickhouse.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = distrusted.Close() }()
	if err := distrusted.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
}
