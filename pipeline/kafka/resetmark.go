package kafka

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrResetUnfinished says that a stage's state is being reset, or that a reset was interrupted.
var ErrResetUnfinished = errors.New("a reset of this stage is not finished")

// resetMarkPrefix marks the group's offset of a partition that is being reset. A runner waits until it is
// gone. One that does not know of resets refuses it: it is no metadata of its own.
const resetMarkPrefix = "handoff-reset:1 "

// resetMark is the plan of a reset that has begun, kept as metadata of the group's offset until it is
// finished: the state is void until then, and whoever finds it finishes it.
type resetMark struct {
	from, until int64  // records to process again: from the first to before the last
	life        uint64 // number of the first transaction of the new state
	clock       int64  // of the partition before, Unix ms: timers due by then fired already
	at          int64  // when the reset began, Unix ms
	emit        bool   // outputs are produced again
	keep        bool   // the state is kept: only where it goes on is set
}

func (m resetMark) String() string {
	return fmt.Sprintf("%sfrom=%d until=%d life=%d clock=%d at=%d emit=%t keep=%t", resetMarkPrefix, m.from, m.until, m.life, m.clock, m.at, m.emit, m.keep)
}

func parseResetMark(metadata string) (m resetMark, ok bool) {
	rest, ok := strings.CutPrefix(metadata, resetMarkPrefix)
	if !ok {
		return m, false
	}
	n, err := fmt.Sscanf(rest, "from=%d until=%d life=%d clock=%d at=%d emit=%t keep=%t", &m.from, &m.until, &m.life, &m.clock, &m.at, &m.emit, &m.keep)
	return m, err == nil && n == 7 && m.life > 0 && m.from <= m.until
}

func (m resetMark) began() time.Time { return time.UnixMilli(m.at).UTC() }

// command that finishes it.
func (m resetMark) command(stage string) string {
	if m.keep {
		return "handoff reset " + stage + " --keep-state --yes"
	}
	return "handoff reset " + stage + " --yes"
}
