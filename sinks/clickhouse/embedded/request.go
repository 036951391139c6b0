package embedded

import (
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
)

// request is what a client asked for beside the statement's text in the body.
type request struct {
	// query is the text in the address; the body follows it.
	query    string
	queryID  string
	database string
	// format is the output's when the statement names none.
	format string
	// revision is the protocol revision that Native output is written at; 0
	// is the bare format.
	revision uint64
	params   []param
	settings map[string]string
	// compress and decompress ask for ClickHouse's own compressed blocks in
	// the response and the body; zstd picks ZSTD over LZ4 for the former.
	compress, decompress, zstd bool
	// bodyEncoding is the body's Content-Encoding, encoding the response's:
	// "", "gzip" or "deflate".
	bodyEncoding, encoding string
	// readOnly is set for methods that must not change anything.
	readOnly bool
}

// parseRequest reads a request's address and headers. It takes everything a
// server takes that has a meaning for one statement; what would silently mean
// something else is an error.
func parseRequest(method, rawQuery string, header http.Header) (*request, *engineError) {
	args, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, failf(codeBadRequest, "Cannot read the query arguments: %v", err)
	}
	r := &request{format: "TabSeparated", settings: map[string]string{}}
	switch method {
	case http.MethodGet, http.MethodHead:
		r.readOnly = true
	case http.MethodPost, http.MethodPut:
	default:
		return nil, failf(codeNotImplemented, "Method %s is not supported; use GET or POST", method)
	}
	if strings.HasPrefix(header.Get("Content-Type"), "multipart/form-data") {
		return nil, failf(codeNotImplemented, "External tables are not supported by the embedded engine")
	}
	r.applyHeaders(header)
	names := make([]string, 0, len(args))
	for name := range args {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := r.applyArgument(name, args[name][len(args[name])-1]); err != nil {
			return nil, err
		}
	}
	return r, r.finish(header)
}

// applyHeaders takes what headers say; arguments override it.
func (r *request) applyHeaders(header http.Header) {
	if v := header.Get("X-ClickHouse-Database"); v != "" {
		r.database = v
	}
	if v := header.Get("X-ClickHouse-Format"); v != "" {
		r.format = v
	}
}

// applyArgument takes one query argument.
func (r *request) applyArgument(name, value string) *engineError {
	switch name {
	case "query":
		r.query = value
	case "database":
		r.database = value
	case "default_format":
		if value != "" {
			r.format = value
		}
	case "query_id":
		r.queryID = value
	case "compress":
		r.compress = truthy(value)
	case "decompress":
		r.decompress = truthy(value)
	case "client_protocol_version":
		revision, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return failf(codeBadRequest, "client_protocol_version is %q, expected a number", value)
		}
		r.revision = revision
	case "session_id", "session_check", "session_timeout":
		return failf(codeNotImplemented, "Sessions (%s) are not supported by the embedded engine: every request stands alone", name)
	case "role":
		return failf(codeNotImplemented, "Roles are not supported by the embedded engine: it has one user")
	case "user", "password", "quota_key", "stacktrace", "buffer_size", "wait_end_of_query", "http_write_exception_in_output_format", "client_info":
		// Of no effect here: results are whole or end in an exception block.
	default:
		return r.applyNamed(name, value)
	}
	return nil
}

// applyNamed takes a parameter or a setting.
func (r *request) applyNamed(name, value string) *engineError {
	if p, ok := strings.CutPrefix(name, "param_"); ok {
		r.params = append(r.params, param{name: p, value: value})
		return nil
	}
	if !settingName(name) {
		return failf(codeBadRequest, "Query argument %q is neither a parameter (param_x) nor the name of a setting", name)
	}
	r.settings[name] = value
	return nil
}

// finish derives what depends on several arguments.
func (r *request) finish(header http.Header) *engineError {
	r.zstd = strings.EqualFold(r.settings["network_compression_method"], "ZSTD")
	if truthy(r.settings["enable_http_compression"]) {
		r.encoding = acceptedEncoding(header.Get("Accept-Encoding"))
	}
	delete(r.settings, "enable_http_compression")
	switch r.bodyEncoding = strings.ToLower(header.Get("Content-Encoding")); r.bodyEncoding {
	case "", "gzip", "deflate":
	case "identity":
		r.bodyEncoding = ""
	default:
		return failf(codeNotImplemented, "Content-Encoding %q is not supported; use gzip, deflate, or none", r.bodyEncoding)
	}
	return nil
}

// acceptedEncoding picks the response's encoding; gzip is preferred.
func acceptedEncoding(accept string) string {
	found := ""
	for _, part := range strings.Split(accept, ",") {
		name, quality, _ := strings.Cut(part, ";")
		if strings.ReplaceAll(quality, " ", "") == "q=0" {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip":
			return "gzip"
		case "deflate":
			found = "deflate"
		}
	}
	return found
}

// truthy reads a flag as ClickHouse does.
func truthy(v string) bool {
	return v == "1" || strings.EqualFold(v, "true")
}

// settingName says whether a name can stand in a SET statement as it is.
func settingName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
