package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Write writes a story for people: a heading for each day in the shop's zone, each line with the shop's
// time and UTC, and the settings' version where it changes.
func Write(w io.Writer, lines []Line, at *time.Location) error {
	day, where, settings := "", "", uint64(0)
	for _, l := range lines {
		local := l.At.In(at)
		if d := local.Format("Monday, January 2, 2006"); d != day {
			day = d
			if _, err := fmt.Fprintf(w, "%s\n", day); err != nil {
				return err
			}
		}
		if l.Conversation != "" && l.Conversation != where {
			where = l.Conversation
			if _, err := fmt.Fprintf(w, " in %s\n", where); err != nil {
				return err
			}
		}
		text := l.Text
		if l.Settings != 0 && l.Settings != settings {
			settings = l.Settings
			text += fmt.Sprintf(" [settings %d]", settings)
		}
		if l.Link != "" {
			text += " " + l.Link
		}
		if _, err := fmt.Fprintf(w, "  %s  %s\n", clock(l.At, local), text); err != nil {
			return err
		}
	}
	return nil
}

// clock is the shop's time, and UTC where that is another.
func clock(at, local time.Time) string {
	if _, offset := local.Zone(); offset == 0 {
		return at.UTC().Format("15:04:05 UTC")
	}
	return local.Format("15:04:05 MST") + at.UTC().Format(" (15:04:05 UTC)")
}

// WriteJSON writes a story for programs: one object a line.
func WriteJSON(w io.Writer, lines []Line) error {
	out := json.NewEncoder(w)
	for _, l := range lines {
		if err := out.Encode(l); err != nil {
			return err
		}
	}
	return nil
}
