package script

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// classifier sets what the shop's own classifier outside says of the messages that come from now on:
// "classifier intent=rental confidence=0.93"; "classifier silent", as at the beginning: nothing in time;
// "classifier unreachable", "classifier open" (left alone for a while after it failed again and again),
// "classifier fails=status".
func (w *World) classifier(c Command) error {
	shop, _, err := w.Current(w.shop)
	if err != nil {
		return err
	}
	if w.reads == nil || shop.Classifier.Endpoint.URL == "" {
		return errors.New("the shop has no classifier of its own: the setting classifier.endpoint names one")
	}
	intent, says := c.Args["intent"]
	_, sure := c.Args["confidence"]
	fails, failed := c.Args["fails"]
	if c.word() != "" && !failed {
		fails, failed = c.word(), true
	}
	switch {
	case failed && (says || sure || c.word() != "" && c.word() != fails):
		return errors.New("say either what it answers, intent= and confidence=, or one way in which it fails")
	case failed && fails == "silent":
		w.outside.says, w.outside.mute = nil, ""
		return w.ok()
	case failed && !slices.Contains(failures(), fails):
		return fmt.Errorf("%q is no failure; there are %s", fails, strings.Join(failures(), ", "))
	case failed:
		w.outside.says, w.outside.mute = nil, fails
		return w.ok()
	case !says:
		return errors.New("say what it answers, intent= and confidence=, or that it is silent")
	}
	name, err := json.Marshal(intent)
	if err != nil {
		return err
	}
	w.outside.says = fmt.Appendf(nil, `{"intent": %s, "confidence": %s}`, name, c.arg("confidence", "1"))
	return w.ok()
}

// failures are those that OutsideReading.failed names, but for answers, which are said as such.
func failures() []string { return []string{"timeout", "unreachable", "status", "key", "open"} }

// askClassifier puts what the shop's own classifier says onto a message, as the gateway does before it is written.
func (w *World) askClassifier(m *handoffv1.CustomerMessage) error {
	if w.reads == nil || m.GetText() == "" {
		return nil
	}
	shop, _, err := w.Current(w.shop)
	if err != nil {
		return err
	}
	m.OutsideReading = w.reads(shop, w.outside.says, w.outside.mute)
	return nil
}
