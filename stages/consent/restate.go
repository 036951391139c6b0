package consent

import (
	"strings"

	"github.com/handoff-dev/handoff/pipeline/turn"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// restate tells deliver's gate once more what counts in each scope, and which opt-out came before it. A change that
// deliver lost and somebody dropped would stay unknown there: an opt-out that is said again is no change, so nothing
// would ever tell of it. Deliver takes of it what it does not know.
func restate(t *turn.Turn) {
	lines, shut := map[uint64]*statev1.LedgerLine{}, map[string]*statev1.LedgerLine{}
	turn.Scan(t, linePrefix, &statev1.LedgerLine{}, func(_ string, l *statev1.LedgerLine) bool {
		lines[l.GetVersion()] = l
		if l.GetStatus() == handoffv1.ConsentStatus_CONSENT_STATUS_UNSUBSCRIBED && l.GetAnswerUntil() == nil {
			shut[l.GetScope()] = l // the newest: lines come in the order of their versions
		}
		return true
	})
	turn.Scan(t, scopePrefix, &statev1.ScopeConsent{}, func(name string, now *statev1.ScopeConsent) bool {
		scope := strings.TrimPrefix(name, scopePrefix)
		if l := shut[scope]; l != nil && l.GetVersion() < now.GetVersion() {
			change{scope: scope, status: l.GetStatus()}.tell(t, t.Here(), l.GetVersion(), l.GetAt())
		}
		c, at := change{scope: scope, status: now.GetStatus()}, now.GetSince()
		if now.GetAnswerUntil() != nil {
			c.answerUntil = now.GetAnswerUntil().AsTime()
		}
		if l := lines[now.GetVersion()]; l != nil { // its evidence may be gone (C9)
			at = l.GetAt()
		}
		c.tell(t, t.Here(), now.GetVersion(), at)
		return true
	})
}
