package app

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/config"
	"github.com/handoff-dev/handoff/pipeline/kafka"
)

// connection is how every client of this process reaches the cluster.
func connection(c config.Kafka, secret Secrets) (kafka.Connection, error) {
	conn := kafka.Connection{Brokers: c.Brokers}
	if c.TLS.Enabled {
		t, err := tlsConfig(c.TLS)
		if err != nil {
			return conn, fmt.Errorf("kafka.tls: %w", err)
		}
		conn.Options = append(conn.Options, kgo.DialTLSConfig(t))
	}
	if c.SASL.Mechanism != "" {
		m, err := mechanism(c.SASL, secret)
		if err != nil {
			return conn, fmt.Errorf("kafka.sasl: %w", err)
		}
		conn.Options = append(conn.Options, kgo.SASL(m))
	}
	return conn, nil
}

func mechanism(c config.SASL, secret Secrets) (sasl.Mechanism, error) {
	password, err := secret(c.Password)
	if err != nil {
		return nil, err
	}
	switch c.Mechanism {
	case "PLAIN":
		return plain.Auth{User: c.User, Pass: password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: c.User, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: c.User, Pass: password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("mechanism %q is not known", c.Mechanism)
}

// tlsConfig reads the PEM files of a connection.
func tlsConfig(c config.TLS) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s holds no PEM certificate", c.CA)
		}
	}
	if c.Cert != "" || c.Key != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("cert and key: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// listen binds an address of ours.
func listen(name, address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; choose another address with --set", name, err)
	}
	return ln, nil
}
