package consentfile

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxAddress is the longest address, in bytes: what a record key takes.
const maxAddress = 256

// validAddress tells whether s can stand in a record key, in files and on terminals.
func validAddress(s string) bool {
	return s != "" && len(s) <= maxAddress && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, unicode.IsControl)
}

// validZone tells whether s names a zone, or none.
func validZone(s string) bool {
	_, err := time.LoadLocation(s)
	return err == nil && s != "Local" // the machine's own
}

// utf8All tells whether all of a row can stand in a record.
func utf8All(r Row) bool {
	return utf8.ValidString(r.Address + r.Account + r.Source + r.Text)
}
