// Package dev runs everything on one machine: an in-memory Kafka, the embedded ClickHouse engine, the
// providers' stand-ins, gateway and stages. It is for development, demonstrations and tests: the
// in-memory broker keeps nothing when the process ends.
package dev

import (
	"embed"
	"fmt"

	"github.com/handoff-dev/handoff/schemas/settings"
)

//go:embed shops/*.yaml
var shopFiles embed.FS

// ShopNames are the shops of the development house.
func ShopNames() []string { return []string{"acme", "bloom", "cobalt"} }

// Numbers of the shops' SMS accounts.
const (
	AcmeNumber   = "+15557770001"
	BloomNumber  = "+15557770002"
	CobaltNumber = "+15557770003"
)

// What the stand-ins and the shops' settings share. None of it is a secret: the stand-ins listen on
// loopback and keep nothing.
const (
	twilioSID     = "AC00000000000000000000000000000d3v"
	twilioToken   = "dev-twilio-token"
	smsSecret     = "dev-sms-secret"
	deskToken     = "dev-desk-token"
	deskWebhook   = "dev-desk-webhook-secret"
	OperatorToken = "dev-operator"
)

// Secret resolves the references in the development shops' settings.
func Secret(ref settings.SecretRef) (string, error) {
	switch ref {
	case "":
		return "", nil
	case "env:DEV_TWILIO_TOKEN":
		return twilioToken, nil
	case "env:DEV_SMS_SECRET":
		return smsSecret, nil
	case "env:DEV_DESK_TOKEN":
		return deskToken, nil
	case "env:DEV_DESK_WEBHOOK":
		return deskWebhook, nil
	case "env:DEV_OPERATOR":
		return OperatorToken, nil
	}
	return "", fmt.Errorf("secret %s: the development house knows only its own", ref)
}

// SecretEnvironment lists the same secrets as environment variables, for processes that run beside
// the house.
func SecretEnvironment() []string {
	return []string{"DEV_TWILIO_TOKEN=" + twilioToken, "DEV_SMS_SECRET=" + smsSecret, "DEV_DESK_TOKEN=" + deskToken, "DEV_DESK_WEBHOOK=" + deskWebhook, "DEV_OPERATOR=" + OperatorToken}
}
