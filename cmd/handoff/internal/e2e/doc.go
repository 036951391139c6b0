// Package e2e holds the end-to-end test: the real binary, driven over HTTP through an in-memory Kafka
// and the embedded ClickHouse engine, killed and restarted at random moments. The test's process owns
// broker, engine and stand-ins; `handoff run` and `handoff gateway` are what is killed.
package e2e
