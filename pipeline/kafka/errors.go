package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// produceError sorts a failed record into the kinds that Producer promises.
func produceError(topic string, err error) error {
	var answer *kerr.Error
	kind := ErrUnacknowledged
	switch {
	case errors.Is(err, kgo.ErrMaxBuffered):
		kind = ErrBufferFull
	case errors.As(err, &answer) && !answer.Retriable:
		kind = ErrRefused
	}
	return fmt.Errorf("post to %s: %w: %w", topic, kind, err)
}

// shutOut tells that the cluster is there but does not take the credentials, or that its certificate is
// not to be trusted: waiting mends neither.
func shutOut(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate) || errors.Is(err, kerr.SaslAuthenticationFailed) || errors.Is(err, kerr.UnsupportedSaslMechanism)
}
