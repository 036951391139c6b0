package deliver

import (
	"strings"
	"time"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/quiet"
	"github.com/handoff-dev/handoff/schemas/settings"
	"github.com/handoff-dev/handoff/schemas/statev1"
)

// inQuietHours says why a text may not leave at this hour, "" when it may (C11). It was judged when it was
// decided; one that waited since, for a provider that is away or for its turn, may have waited into the
// night.
func (s *Stage) inQuietHours(shop *settings.Shop, open *statev1.OpenCall, now time.Time) string {
	r := open.GetRecord()
	text := r.GetCommand().GetSendText()
	check := text.GetQuiet()
	if check == nil || check.GetExemptUntil() != nil && !now.After(check.GetExemptUntil().AsTime()) {
		return ""
	}
	q, ok := s.quiet.Judge(shop, quiet.Ask{
		At: now, Class: text.GetTextClass(), Channel: r.GetChannel(), Address: r.GetAddress(), Zone: text.GetConsent().GetTimeZone(),
	})
	if ok {
		return ""
	}
	return q.Why
}

// notYet is an agent's reply that met quiet hours on its way, as far as it was not sent: later is another
// matter than never. Automated texts have lost their use by then. rest are the parts behind the one that
// met them.
func notYet(open *statev1.OpenCall, o *handoffv1.Outcome, rest []string) *handoffv1.SendText {
	text := open.GetRecord().GetCommand().GetSendText()
	if o.GetBlockReason() != handoffv1.BlockReason_BLOCK_REASON_QUIET_HOURS || text.GetTextClass() != handoffv1.TextClass_TEXT_CLASS_AGENT {
		return nil
	}
	text = text.CloneVT()
	text.Text = strings.Join(append([]string{text.GetText()}, rest...), " ")
	return text
}
