package script

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// classifier sets what the shop's own classifier outside says of the messages that come from now on:
// "classifier intent=rental confidence=0.93"; "classifier silent", as at the beginning: nothing in time.
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
	switch {
	case c.word() == "silent" && !says && !sure:
		w.outside.says = nil
		return w.ok()
	case c.word() == "silent" || !says:
		return errors.New("say what it answers, intent= and confidence=, or that it is silent")
	}
	name, err := json.Marshal(intent)
	if err != nil {
		return err
	}
	w.outside.says = fmt.Appendf(nil, `{"intent": %s, "confidence": %s}`, name, c.arg("confidence", "1"))
	return w.ok()
}

// askClassifier puts what the shop's own classifier says onto a message, as the gateway does before it is written.
func (w *World) askClassifier(m *handoffv1.CustomerMessage) error {
	if w.reads == nil || m.GetText() == "" {
		return nil
	}
	shop, _, err := w.Current(w.shop)
	if err != nil {
		return err
	}
	m.OutsideReading = w.reads(shop, w.outside.says)
	return nil
}
