package e2e

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A cluster with TLS and SASL takes who knows the password; everyone else is told at once what is wrong.
func TestSecuredKafka(t *testing.T) {
	h := &house{t: t, dir: t.TempDir(), binary: os.Getenv(binaryVariable)}
	certified := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	defer certified.Close()
	open := func() *kfake.Cluster {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(certified.TLS.Clone()), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "handoff", "right"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		return cluster
	}
	// The in-memory broker hangs up on a wrong password; this one says so, as Kafka does.
	honest, refusing := open(), open()
	refusing.ControlKey(kmsg.SASLAuthenticate.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		refusing.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	file := func(name string, content []byte) string {
		path := filepath.Join(h.dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certified.Certificate().Raw}))
	base := append(os.Environ(), "RIGHT=right", "HANDOFF_KAFKA__REPLICATION=1", "HANDOFF_KAFKA__PARTITIONS=2",
		"HANDOFF_KAFKA__SASL__USER=handoff", "HANDOFF_LOG__LEVEL=warn", "HANDOFF_HTTP__ADMIN="+freeAddress(t), "HANDOFF_HTTP__LISTEN="+freeAddress(t))
	const tls, trust, mechanism, password = "HANDOFF_KAFKA__TLS__ENABLED=true", "HANDOFF_KAFKA__TLS__CA=", "HANDOFF_KAFKA__SASL__MECHANISM=", "HANDOFF_KAFKA__SASL__PASSWORD="
	right, wrong := file("right", []byte("right\n")), file("wrong", []byte("guess\n"))
	for _, c := range []struct {
		name string
		at   *kfake.Cluster
		env  []string
		code int
		says string
	}{
		{"right password from a file", honest, []string{tls, trust + ca, mechanism + "SCRAM-SHA-512", password + "file:" + right}, 0, "handoff.classify: "},
		{"right password from the environment", honest, []string{tls, trust + ca, mechanism + "SCRAM-SHA-512", password + "env:RIGHT"}, 0, "handoff.classify: "},
		{"wrong password", refusing, []string{tls, trust + ca, mechanism + "SCRAM-SHA-512", password + "file:" + wrong}, 1, "SASL_AUTHENTICATION_FAILED"},
		{"password that is nowhere", honest, []string{tls, trust + ca, mechanism + "SCRAM-SHA-512", password + "env:NOWHERE"}, 2, "NOWHERE"},
		{"certificate of a stranger", honest, []string{tls, mechanism + "SCRAM-SHA-512", password + "env:RIGHT"}, 1, "x509"},
		{"CA that is no certificate", honest, []string{tls, trust + right, mechanism + "SCRAM-SHA-512", password + "env:RIGHT"}, 2, "no PEM certificate"},
		{"wrong password, hung up on", honest, []string{tls, trust + ca, mechanism + "SCRAM-SHA-512", password + "file:" + wrong}, 1, "it hangs up"},
	} {
		for _, args := range [][]string{{"topics", "apply"}, {"gateway"}} {
			if (c.code == 0 || c.says == "it hangs up") && args[0] == "gateway" {
				continue // it would run, or wait for a broker that seems away
			}
			began := time.Now()
			out, code := h.try(slices.Concat(base, c.env, []string{"HANDOFF_KAFKA__BROKERS=" + c.at.ListenAddrs()[0]}), args...)
			if code != c.code || !strings.Contains(out, c.says) {
				t.Errorf("%s: %v ended with exit code %d after %s, want %d and %q\n%s", c.name, args, code, time.Since(began), c.code, c.says, out)
			}
			if strings.Contains(out, "guess") {
				t.Errorf("%s: %v shows the password", c.name, args)
			}
		}
	}
}
