// Package twilio speaks to Twilio's Programmable Messaging: SMS and MMS in and
// out.
//
// In: VerifySignature judges a webhook before anything of it is decoded,
// DecodeInbound and DecodeStatus read its form, Webhook turns both into records.
// Out: Client sends messages and lists them over the REST API, Destination puts
// deliver's commands through it. Twilio takes no idempotency key, so a send that
// was never answered is looked up by recipient and time before it is tried again.
//
// Facts are from Twilio's API 2010-04-01 (its OpenAPI document) and from its
// pages on webhook security; error codes stand as data in errors.go.
package twilio
