package consentfile

import (
	"time"
	"unicode/utf8"
)

// validZone tells whether s names a zone, or none.
func validZone(s string) bool {
	_, err := time.LoadLocation(s)
	return err == nil && s != "Local" // the machine's own
}

// utf8All tells whether all of a row can stand in a record.
func utf8All(r Row) bool {
	return utf8.ValidString(r.Address + r.Account + r.Source + r.Text)
}
