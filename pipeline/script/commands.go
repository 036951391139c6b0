package script

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/consentfile"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// ErrWorld is wrapped by errors that no script should be able to cause: what a command led to did not
// play out.
var ErrWorld = errors.New("what it caused did not play out")

// Command is one command of a script.
type Command struct {
	// Name, e.g. "customer".
	Name string
	// Words are the arguments without a value, in order.
	Words []string
	// Args are the arguments with a value, name=value.
	Args map[string]string
	// Input is the text below the command, without its last line break.
	Input string
}

func (c Command) arg(name, otherwise string) string {
	if v, ok := c.Args[name]; ok {
		return v
	}
	return otherwise
}

func (c Command) word() string { return strings.Join(c.Words, " ") }

// Run carries out a command, lets everything it causes play out, and returns what happened, a line
// each. The clock then moves on by a second. An error means that the script itself is wrong.
func (w *World) Run(c Command) (string, error) {
	w.moments = w.moments[:0]
	if w.punctual && w.ran {
		if err := w.advance(time.Second); err != nil {
			return "", fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	w.ran = true
	if err := w.carryOut(c); err != nil {
		return "", fmt.Errorf("%s: %w", c.Name, err)
	}
	if err := w.settle(); err != nil {
		return "", fmt.Errorf("%s: %w: %w", c.Name, ErrWorld, err)
	}
	return w.happened(), nil
}

// pass ends what the bot did not answer in the time before a command: what the command causes comes later.
func (w *World) pass() error {
	w.passing = true
	defer func() { w.passing = false }()
	calls, err := w.calls()
	if err != nil || !slices.ContainsFunc(calls, func(c pipeline.PendingCall) bool { return w.lapsed(c) != nil }) {
		return err
	}
	if err := w.settle(); err != nil {
		return fmt.Errorf("%w: %w", ErrWorld, err)
	}
	return nil
}

// happened ends a command: the clock moves on by a second, where the next command does not do that, and what
// happened is told.
func (w *World) happened() string {
	if !w.punctual {
		w.clock = w.clock.Add(time.Second)
	}
	defer func() { w.lines = w.lines[:0] }() // what happened before a command that had no sense is told with the next
	if len(w.lines) == 0 {
		return "nothing\n"
	}
	return strings.Join(w.lines, "\n") + "\n"
}

func (w *World) carryOut(c Command) error {
	v, err := w.verbs.check(c)
	if err != nil {
		return err
	}
	if !v.looks && w.plant == nil {
		if err := w.pass(); err != nil {
			return err
		}
	}
	return v.run(w, c)
}

// restart loses what is in memory: every stage starts again from what it committed, and calls that
// were in flight are made again.
func (w *World) restart(Command) error {
	w.asked, w.order, w.holding.onWire, w.ended = map[string]pending{}, nil, nil, map[string]bool{}
	w.unheard = map[string]bool{}
	w.tried = map[string]try{}
	if w.plant == nil {
		for _, m := range w.stages {
			if err := m.restart(); err != nil {
				return err
			}
		}
	}
	return w.ok()
}

func (w *World) ok() error {
	w.say("ok")
	return nil
}

// settings merges a document over the shop's and publishes the result as its next version.
func (w *World) settings(c Command) error {
	var over map[string]any
	if err := yaml.Unmarshal([]byte(c.Input), &over); err != nil {
		return notYAML(err, " of these settings")
	}
	old := w.document
	w.document = merge(w.document, over)
	if err := w.publish(); err != nil {
		w.document = old
		w.refuse(err, []byte(c.Input), 0, "line %d of these settings: ")
		return nil
	}
	return w.ok()
}

// refuse tells why settings are not taken, with the lines of the command that gave them: nobody sees the document into
// which they were merged. rules is how many rules that has before those of the command.
func (w *World) refuse(err error, given []byte, rules int, place string) {
	var bad *settings.Error
	if !errors.As(err, &bad) {
		w.say("refused: %v", err)
		return
	}
	problems := slices.Clone(bad.Problems)
	for i := range problems {
		problems[i].Line = 0
		var n int
		if _, err := fmt.Sscanf(problems[i].Path, "rules[%d]", &n); err == nil && rules > 0 {
			problems[i].Path = ofCommand(problems[i].Path, n, rules)
		}
	}
	problems = settings.Problems(given, problems).Problems
	slices.SortStableFunc(problems, func(a, b settings.Problem) int { return a.Line - b.Line })
	lines := make([]string, len(problems))
	for i, p := range problems {
		where := ""
		if p.Line > 0 {
			where = fmt.Sprintf(place, p.Line)
		}
		p.Line = 0
		lines[i] = where + p.String()
	}
	w.say("refused: %s", strings.Join(lines, "\n"))
}

// rules adds a file of rules, and the settings that stand beside them, to the shop's.
func (w *World) rules(c Command) error {
	if w.read == nil {
		return fmt.Errorf("there are no files of rules here")
	}
	doc, err := w.read(c.word())
	if err != nil {
		return err
	}
	var over map[string]any
	if err := yaml.Unmarshal(doc, &over); err != nil {
		return fmt.Errorf("%s: %w", c.word(), notYAML(err, ""))
	}
	old := w.document
	had, _ := old["rules"].([]any)
	if more, ok := over["rules"].([]any); ok {
		over["rules"] = slices.Concat(had, more)
	}
	w.document = merge(w.document, over)
	if err := w.publish(); err != nil {
		w.document = old
		w.refuse(err, doc, len(had), c.word()+":%d: ")
		return nil
	}
	return w.ok()
}

// ofCommand is the path of a rule as its own file counts it: "rules[2].then" is "rules[0].then" behind two others. A
// rule that was there before has no place in the file.
func ofCommand(path string, n, before int) string {
	rest := strings.TrimPrefix(path, fmt.Sprintf("rules[%d]", n))
	if n < before {
		return fmt.Sprintf("the rule before it that is number %d%s", n+1, rest)
	}
	return fmt.Sprintf("rules[%d]%s", n-before, rest)
}

// notYAML says in one line where a document is none; what it is stands behind the line's number.
func notYAML(err error, what string) error {
	text := yaml.FormatError(err, false, false)
	var line, column int
	if n, _ := fmt.Sscanf(text, "[%d:%d]", &line, &column); n == 2 {
		_, why, _ := strings.Cut(text, "] ")
		text = fmt.Sprintf("line %d%s, column %d: %s", line, what, column, why)
	}
	return fmt.Errorf("it is no YAML: %s", text)
}

func merge(under, over map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range under {
		out[k] = v
	}
	for k, v := range over {
		a, isMap := out[k].(map[string]any)
		b, alsoMap := v.(map[string]any)
		if isMap && alsoMap {
			out[k] = merge(a, b)
		} else {
			out[k] = v
		}
	}
	return out
}

func (w *World) customer(c Command) error {
	from := c.arg("from", "+14155550001")
	to := c.arg("to", w.account().Account)
	channel, err := channelOf(c.arg("channel", w.account().Channel))
	if err != nil {
		return err
	}
	if err := w.knows(channel, from, to); err != nil { // as the gateway refuses it
		return err
	}
	w.serial++
	native := c.arg("id", fmt.Sprintf("SMin%d", w.serial))
	m := &handoffv1.CustomerMessage{NativeId: native, Text: c.Input, AddressDisplayed: from, SenderName: c.arg("name", ""), PublicPost: c.arg("public", "no") == "yes"}
	if v := c.arg("opt-out-type", ""); v != "" {
		m.ProviderOptOut = handoffv1.ProviderOptOut(handoffv1.ProviderOptOut_value["PROVIDER_OPT_OUT_"+strings.ToUpper(v)])
	}
	m.Media = media(c)
	if err := w.askClassifier(m); err != nil {
		return err
	}
	return w.post(schemas.TopicClassify, &handoffv1.Record{
		Id: schemas.SourceID(w.account().Provider, w.shop, to, native), Channel: channel, Account: to, Address: from,
		Conversation: schemas.Conversation(channel, to),
		Body:         &handoffv1.Record_CustomerMessage{CustomerMessage: m},
	})
}

// media is what is attached to what somebody writes.
func media(c Command) (attached []*handoffv1.Media) {
	for url := range strings.FieldsFuncSeq(c.arg("media", ""), func(r rune) bool { return r == ',' }) {
		attached = append(attached, &handoffv1.Media{Url: url, ContentType: "image/jpeg"})
	}
	return attached
}

// knows tells whether the shop has an account and the channel such addresses.
func (w *World) knows(channel handoffv1.Channel, from, to string) error {
	shop, _, err := w.Current(w.shop)
	if err != nil {
		return err
	}
	if shop.Account(channel, to) == nil {
		return fmt.Errorf("the shop has no account %s on %s: its settings list them", to, schemas.ChannelName(channel))
	}
	if why := consentfile.NoAddress(channel, from); why != "" {
		return fmt.Errorf("from=: %s", why)
	}
	return nil
}

// sent tells whether so many texts were sent.
func (w *World) sent(number string) error {
	n, err := strconv.Atoi(number)
	switch {
	case w.outside.texts == 0:
		return errors.New("no text was sent yet: nothing before this line led to one")
	case err != nil || n < 1 || n > w.outside.texts:
		return fmt.Errorf("there is no text %s: %d were sent, counted from 1", number, w.outside.texts)
	}
	return nil
}

func (w *World) bot(c Command) error {
	if c.word() != "" {
		if c.Input != "" || len(c.Args) > 0 {
			return fmt.Errorf("the bot says nothing while it goes %s", c.word())
		}
		if w.outside.botDown = c.word() == "down"; w.outside.botDown {
			return w.ok()
		}
		return nil
	}
	if len(w.order) == 0 {
		return fmt.Errorf("the bot was not asked anything")
	}
	p := w.asked[w.order[0]]
	delete(w.asked, w.order[0])
	w.order = w.order[1:]
	reply := &handoffv1.BotReply{Turn: p.turn, Text: c.Input}
	if reason, ok := c.Args["cannot-answer"]; ok {
		reply = &handoffv1.BotReply{Turn: p.turn, CannotAnswer: true, Reason: reason}
	}
	calls, err := w.calls()
	if err != nil {
		return err
	}
	o := done()
	o.BotReply = reply
	if slices.ContainsFunc(calls, func(pc pipeline.PendingCall) bool { return pc.Call.ID == p.call.Call.ID }) {
		w.outside.done[p.call.Call.ID] = o
	}
	w.end(p.call, o)
	return nil
}

func (w *World) desk(c Command) error {
	if done, err := w.deskSwitch(c); done {
		return err
	}
	if len(w.outside.tickets) == 0 {
		return fmt.Errorf("there is no ticket yet: nothing before this line led to one")
	}
	number, err := strconv.Atoi(c.arg("ticket", strconv.Itoa(len(w.outside.tickets))))
	if err != nil || number < 1 || number > len(w.outside.tickets) {
		return fmt.Errorf("there is no ticket %s: there are 1 to %d", c.arg("ticket", ""), len(w.outside.tickets))
	}
	t := w.outside.tickets[number-1]
	switch {
	case c.Name == "agent":
		item := &handoffv1.DeskItem{IsReply: true, Reply: c.Input, Author: c.arg("name", "Kim")}
		for _, m := range media(c) {
			item.MediaUrls = append(item.MediaUrls, m.GetUrl())
		}
		t.add(w.deskTime(), item)
	case c.Name == "note":
		// Connectors leave notes out of what they fetch; the ticket has changed all the same.
	case c.arg("merge", "") != "":
		into, err := strconv.Atoi(c.arg("merge", ""))
		if err != nil || into < 1 || into > len(w.outside.tickets) || into == number || w.outside.tickets[into-1].merged != 0 {
			return fmt.Errorf("ticket %d cannot be merged into %s", number, c.arg("merge", ""))
		}
		t.status, t.merged = handoffv1.TicketStatus_TICKET_STATUS_CLOSED, into
		t.add(w.deskTime(), &handoffv1.DeskItem{MergedInto: c.arg("merge", ""), MergedIntoExternalId: w.outside.tickets[into-1].external})
	case c.arg("assign", "") != "":
		t.add(w.deskTime(), &handoffv1.DeskItem{Assignee: c.arg("assign", "")})
	case c.arg("tags", "") != "":
		t.add(w.deskTime(), &handoffv1.DeskItem{Tags: strings.Split(c.arg("tags", ""), ","), TagsKnown: true})
	default:
		name := c.arg("status", "")
		if name == "" {
			return fmt.Errorf("say what happens at the desk: %s", w.verbs[c.Name].allowed(c.Name))
		}
		s := handoffv1.TicketStatus(handoffv1.TicketStatus_value["TICKET_STATUS_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))])
		if t.over() {
			return fmt.Errorf("ticket %d is %s for good: the desk lets nobody change it", number, statusName(t.status))
		}
		t.status = s
		t.add(w.deskTime(), &handoffv1.DeskItem{Status: s, NativeStatus: name})
	}
	w.hint(number, t)
	return nil
}

// deskSwitch handles "desk up", "desk down", "desk revoked", "desk refuse=422", "desk accept" and "desk clock=-3h".
func (w *World) deskSwitch(c Command) (bool, error) {
	if c.Name != "desk" {
		return false, nil
	}
	code, refuse := c.Args["refuse"]
	off, clock := c.Args["clock"]
	switch {
	case clock:
		by, err := time.ParseDuration(off)
		if err != nil {
			return true, fmt.Errorf("clock=%s is no length of time such as -3h or 10m", off)
		}
		w.outside.deskOff = by
	case refuse:
		if n, err := strconv.Atoi(code); err != nil || n < 400 || n > 599 {
			return true, fmt.Errorf("refuse=%s is no status of an HTTP answer that refuses, such as 422", code)
		}
		w.outside.refuse = code
	case c.word() == "accept":
		w.outside.refuse = ""
	case c.word() == "down":
		w.outside.deskDown = true
	case c.word() == "revoked":
		w.outside.deskDown, w.outside.revoked = true, true
	case c.word() == "up":
		w.outside.deskDown, w.outside.revoked = false, false
		clear(w.outside.told)
	default:
		return false, nil
	}
	if c.word() == "up" {
		return true, nil
	}
	return true, w.ok()
}

func (w *World) provider(c Command) error {
	if code, ok := c.Args["fail"]; ok {
		w.outside.failText = append(w.outside.failText, code)
		return w.ok()
	}
	if c.word() == "" {
		return fmt.Errorf("say what is with the provider: %s", w.verbs[c.Name].allowed(c.Name))
	}
	w.outside.textDown = c.word() == "down"
	if w.outside.textDown {
		return w.ok()
	}
	return nil
}

// deliveryState is the provider's word on the n-th text: "delivery text=2 status=delivered code=…".
func (w *World) deliveryState(c Command) error {
	if c.arg("status", "") == "" {
		return fmt.Errorf("say what the provider reports: status= is one of %s", strings.Join(w.verbs[c.Name].of["status"], ", "))
	}
	number := c.arg("text", strconv.Itoa(w.outside.texts))
	if err := w.sent(number); err != nil {
		return err
	}
	status := handoffv1.DeliveryStatus(handoffv1.DeliveryStatus_value["DELIVERY_STATUS_"+strings.ToUpper(c.arg("status", ""))])
	id := "SMout" + number
	code := c.arg("code", "")
	return w.post(schemas.TopicDeliver, &handoffv1.Record{
		Id:      schemas.SourceID(w.account().Provider, w.shop, w.account().Account, id+"/"+status.String()),
		Channel: schemas.ChannelOf(w.account().Channel), Account: w.account().Account, Address: c.arg("from", "+14155550001"),
		Conversation: schemas.Conversation(schemas.ChannelOf(w.account().Channel), w.account().Account),
		Body: &handoffv1.Record_DeliveryState{DeliveryState: &handoffv1.DeliveryState{
			ProviderId: id, Status: status, Code: code, ProviderOptedOut: code == optedOutCode,
		}},
	})
}

func (w *World) printFacts(c Command) error {
	kind := c.word()
	for _, f := range w.facts {
		if kind == "" || strings.Contains(f, kind) {
			w.say("%s", f)
		}
	}
	w.facts = nil
	for _, f := range w.told[kind] {
		w.say("%s", f)
	}
	delete(w.told, kind)
	return nil
}
