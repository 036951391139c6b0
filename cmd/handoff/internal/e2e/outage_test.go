package e2e

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/handoff-dev/handoff/cmd/handoff/internal/dev"
	botsim "github.com/handoff-dev/handoff/connectors/bot/sim"
	"github.com/handoff-dev/handoff/connectors/desktest/standin"
	smssim "github.com/handoff-dev/handoff/connectors/sms/sim"
	twiliosim "github.com/handoff-dev/handoff/connectors/twilio/sim"
	"github.com/handoff-dev/handoff/schemas"
)

// With ClickHouse away all the while, help desks, bots and providers fail in turn, and the processes are
// stopped and started: customers are answered, what waits is visible, and when everything is back there
// is one of each ticket, text and row.
func TestOutages(t *testing.T) {
	t.Parallel() // it waits more than it computes
	h := openHouse(t)
	h.env = append(h.env, "HANDOFF_ESCALATE__DESK_SILENCE=4s")
	desk := freeAddress(t) // cobalt's desk: nobody listens there yet
	h.settle(t, desk)
	stages := h.start("stages", h.admin, "run", "all")
	gateway := h.start("gateway", freeAddress(t), "gateway")
	ready := []string{"http://" + h.front + "/readyz", "http://" + h.admin + "/readyz"}
	h.await(ready...)
	first := h.talk("acme", 0)
	check(t, first.say(t.Context(), "Where is my order?"))
	h.poll(t, "the first row", func() bool { return h.count(t, "messages", "direction = 'in'") == 1 })

	address := h.engine.Addr()
	check(t, h.engine.Close())
	t.Run("outside", func(t *testing.T) {
		t.Run("desk refuses", func(t *testing.T) { t.Parallel(); h.deskRefuses(t) })
		t.Run("desk is off", func(t *testing.T) { t.Parallel(); h.deskIsOff(t, desk) })
		t.Run("bots fail", func(t *testing.T) { t.Parallel(); h.botsFail(t) })
		t.Run("provider fails", func(t *testing.T) { t.Parallel(); h.providerFails(t) })
	})
	if t.Failed() {
		return
	}
	h.lagShows(t)
	h.stopsInOrder(t, stages, gateway, ready)
	h.lagShows(t)
	h.startEngine(address)
	h.nothingLostOrDoubled(t)
}

// settle gives the shops time limits that do not run out here, and cobalt a desk at an address.
func (h *house) settle(t *testing.T, desk string) {
	t.Helper()
	for _, shop := range dev.ShopNames() {
		doc, err := h.outside.ShopDocument(shop, false)
		if err != nil {
			t.Fatal(err)
		}
		if shop == "cobalt" {
			doc = bytes.ReplaceAll(doc, []byte(h.outside.URL("zendesk2")), []byte("http://"+desk))
		}
		if out, code := h.apply(t, shop+".yaml", doc); code != 0 {
			t.Fatalf("settings of %s: exit code %d\n%s", shop, code, out)
		}
	}
}

// lagShows: what ClickHouse does not take is seen from outside.
func (h *house) lagShows(t *testing.T) {
	t.Helper()
	h.poll(t, "the lag and the failed writes to show", func() bool {
		return h.metric(t, h.admin, "handoff_lag_records", `stage="analytics"`) > 0 && h.metric(t, h.admin, "handoff_sink_write_errors_total") > 0
	})
}

// asksInVain brings customers to a desk that is away: each is told so once (H11), and their calls show.
func (h *house) asksInVain(t *testing.T, destination string, customers ...*talk) {
	t.Helper()
	for _, k := range customers {
		check(t, k.complain(t.Context()))
		check(t, k.say(t.Context(), "yes"))
	}
	for _, k := range customers {
		check(t, k.hears(t.Context(), "trouble reaching our support team"))
		check(t, k.say(t.Context(), "It is order 4417, "+k.marker))
	}
	h.poll(t, "the calls that wait", func() bool {
		open := `destination="` + destination + `"`
		return h.metric(t, h.admin, "handoff_calls_open", open) >= float64(len(customers)) && h.metric(t, h.admin, "handoff_calls_oldest_seconds", open) > 1
	})
	for _, k := range customers {
		if n := len(k.tickets()); n != 0 {
			t.Errorf("%s has %d tickets at a desk that is away", k.customer, n)
		}
	}
}

// isBack finds everything at the desk, once, and the conversation alive.
func (k *talk) isBack(t *testing.T) {
	t.Helper()
	check(t, k.once(t.Context(), "ticket", func() int { return len(k.tickets()) }))
	for _, words := range []string{"I want to cancel my order " + k.marker, "It is order 4417, " + k.marker} {
		check(t, k.once(t.Context(), words, func() int { return k.entries("", words) }))
	}
	if t.Failed() {
		return
	}
	check(t, k.goesOn(t.Context()))
	check(t, k.once(t.Context(), "word of the outage", func() int { return k.heard("trouble reaching") }))
	check(t, k.once(t.Context(), "ticket", func() int { return len(k.tickets()) }))
}

func (h *house) deskRefuses(t *testing.T) {
	h.outside.Gorgias.Faults.Add(standin.Fault{Kind: standin.Refused, Status: http.StatusServiceUnavailable, Times: 1 << 30})
	customers := []*talk{h.talk("bloom", 10), h.talk("bloom", 11)}
	h.asksInVain(t, "gorgias", customers...)
	h.outside.Gorgias.Faults.Clear()
	for _, k := range customers {
		k.isBack(t)
	}
}

func (h *house) deskIsOff(t *testing.T, desk string) {
	customers := []*talk{h.talk("cobalt", 20), h.talk("cobalt", 21)}
	h.asksInVain(t, "zendesk", customers...)
	ln, err := net.Listen("tcp", desk)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h.outside.Zendesk2, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(ln) }() // ends with Close
	h.t.Cleanup(func() { check(h.t, server.Close()) })
	for _, k := range customers {
		k.isBack(t)
	}
	if !t.Failed() {
		h.blindProviderFails(t, customers[0], smssim.CommitNoAnswer, 1)
		h.blindProviderFails(t, customers[1], smssim.NoAnswer, 0)
	}
}

// blindProviderFails: a provider that cannot be asked leaves a text unanswered. It is not sent again,
// the agent learns of it, and the conversation goes on.
func (h *house) blindProviderFails(t *testing.T, k *talk, how smssim.FaultKind, arrives int) {
	t.Helper()
	h.outside.SMS.Inject(smssim.Fault{Kind: how, To: k.customer, Times: 1})
	line := "Your parcel " + k.marker + " was found."
	check(t, k.reply(line))
	check(t, k.once(t.Context(), "note of the unknown text", func() int { return k.entries("note", "Not known whether") }))
	after := "More about " + k.marker + " tomorrow."
	check(t, k.reply(after))
	check(t, k.hears(t.Context(), after))
	if n := k.heard(line); n != arrives {
		t.Errorf("%s: the unanswered text arrived %d times, want %d", k.customer, n, arrives)
	}
}

// botsFail: a bot that is down, talks nonsense or says nothing cannot answer, and people are offered (H11).
func (h *house) botsFail(t *testing.T) {
	var asked []*talk
	for i, f := range []botsim.Fault{{Kind: botsim.Down, Shop: "bloom"}, {Kind: botsim.Malformed, Shop: "cobalt"}, {Kind: botsim.Silent, Shop: "acme", Delay: time.Hour}} {
		h.outside.Bot.Inject(f)
		k := h.talk(f.Shop, 30+i)
		check(t, k.say(t.Context(), "Where is my order "+k.marker+"?"))
		asked = append(asked, k)
	}
	for _, k := range asked {
		check(t, k.once(t.Context(), "offer", func() int { return k.heard("connect you directly") }))
	}
	h.outside.Bot.ClearFaults()
	for _, k := range asked {
		if n := k.heard("on its way"); n != 0 {
			t.Errorf("%s was offered a person and answered %d times", k.customer, n)
		}
	}
}

// providerFails: Twilio refuses, breaks off and takes without answering; each customer gets one text.
func (h *house) providerFails(t *testing.T) {
	var asked []*talk
	for i, f := range []twiliosim.Fault{
		{Kind: twiliosim.ServerError, Status: http.StatusInternalServerError, Times: 2}, {Kind: twiliosim.CommitNoAnswer, Times: 1},
		{Kind: twiliosim.NoAnswer, Times: 1}, {Kind: twiliosim.CommitServerError, Times: 1}, {Kind: twiliosim.Limited, Times: 1, Delay: time.Second},
	} {
		k := h.talk("acme", 40+i)
		f.To = k.customer
		h.outside.Twilio.Inject(f)
		check(t, k.say(t.Context(), "I want to cancel my order "+k.marker))
		asked = append(asked, k)
	}
	for _, k := range asked {
		check(t, k.once(t.Context(), "offer", func() int { return k.heard("connect you directly") }))
		// What comes after a text waits for its end: it was looked up, and not sent again.
		check(t, k.accept(t.Context()))
		check(t, k.goesOn(t.Context()))
		check(t, k.once(t.Context(), "offer", func() int { return k.heard("connect you directly") }))
	}
}

// stopsInOrder ends both processes with SIGTERM while customers write, and starts them again: everyone
// gets one answer.
func (h *house) stopsInOrder(t *testing.T, stages, gateway *process, ready []string) {
	t.Helper()
	const drain = 5 * time.Second // of the house
	var customers []*talk
	for i := range 20 {
		customers = append(customers, h.talk("acme", 60+i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	said := make(chan error, len(customers))
	for _, k := range customers {
		go func() { said <- k.say(ctx, "I want to cancel my order "+k.marker) }()
	}
	check(t, <-said) // some are on their way, some are not taken yet
	for _, p := range []*process{gateway, stages} {
		if code, took := p.terminate(); code != 0 || took > drain+3*time.Second {
			t.Errorf("%s ended with exit code %d after %s", p.name, code, took)
		}
		p.launch()
	}
	h.await(ready...)
	for range len(customers) - 1 {
		check(t, <-said)
	}
	for _, k := range customers {
		check(t, k.once(t.Context(), "offer", func() int { return k.heard("connect you directly") }))
	}
}

// nothingLostOrDoubled waits until nothing is on its way any more and compares: every record of analytics
// is one row, every customer's text one message, every call at most one text.
func (h *house) nothingLostOrDoubled(t *testing.T) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(h.kafka.ListenAddrs()...), kgo.ConsumeTopics(schemas.TopicAnalytics),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	records, rows := uint64(0), uint64(0)
	h.poll(t, "everything to be in ClickHouse", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		records += uint64(client.PollFetches(ctx).NumRecords())
		audit, err := h.db.Audit(t.Context())
		if err != nil {
			t.Fatalf("audit: %v", err)
		}
		rows = 0
		for _, a := range audit {
			rows += a.Rows
		}
		return rows == records && records > 0 && h.metric(t, h.admin, "handoff_lag_records") == 0 && h.metric(t, h.admin, "handoff_pending_calls") == 0
	})
	t.Logf("%d records, %d rows", records, rows)
	h.checkAudit(t.Context(), t)
	h.checkTexts(t)
	var sent []string
	for _, m := range h.outside.Twilio.Messages() {
		if m.Inbound() {
			sent = append(sent, m.SID)
		}
	}
	for _, m := range h.outside.SMS.Messages() {
		if m.Inbound {
			sent = append(sent, m.ID)
		}
	}
	if n := h.count(t, "messages", "direction = 'in'"); n != uint64(len(sent)) {
		t.Errorf("ClickHouse has %d texts of customers, %d were sent", n, len(sent))
	}
	if n := h.count(t, "messages", "direction = 'in' AND native_id IN ('"+strings.Join(sent, "','")+"')"); n != uint64(len(sent)) {
		t.Errorf("ClickHouse has %d of %d texts of customers", n, len(sent))
	}
}
