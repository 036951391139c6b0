// Package embedded runs the real ClickHouse engine without a ClickHouse
// server, for development, demonstrations and tests: the same client code and
// the same SQL serve both.
//
// [Start] runs a child process of the caller's own binary. The child takes the
// engine from a `clickhouse` binary on the PATH where there is one, else from
// the library libchdb, which [Install] fetches once into the user's cache, and
// serves ClickHouse's HTTP interface on loopback. The child ends when its
// parent's pipe closes, so also when the parent is killed.
//
// What a client may rely on, whichever engine is behind it: GET and POST
// queries, `query`, `database`, `default_format`, `param_x`, settings as query
// arguments, INSERT data in the body in every format, Native at the revision
// asked for with client_protocol_version, LZ4 and ZSTD blocks (compress,
// decompress), gzip and deflate bodies, /ping, and errors as status 500 with
// X-ClickHouse-Exception-Code and the engine's text.
//
// What the library does not do, and the child therefore refuses with code 48:
// session_id, external tables (multipart bodies), and users or passwords,
// which are ignored: the interface listens on loopback only and refuses
// requests that a browser sent on behalf of another page.
//
// The engine is ClickHouse's own, so data written is durable as ClickHouse's
// is: a killed child loses nothing that was acknowledged.
package embedded
