package settings

import _ "embed"

//go:embed schema.json
var schema string

// Schema is the JSON Schema of a shop's settings, for editors. It is generated from the types here, their
// comments and defaults.
func Schema() string { return schema }
