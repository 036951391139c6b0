package app

import (
	"bytes"
	"fmt"

	"github.com/goccy/go-yaml"

	"github.com/handoff-dev/handoff/pipeline/script"
	"github.com/handoff-dev/handoff/schemas/settings"
)

// CompleteRules makes a shop's settings of a file of rules: what it lacks is that of the shop whose settings are given,
// nil for the shop of docs/scripts.md. The file stands first, so that its lines keep their numbers. A whole shop's
// settings stay as they are.
func CompleteRules(document, shop []byte) ([]byte, error) {
	var has, base yaml.MapSlice
	if shop == nil {
		shop = script.BaseSettings()
	}
	if err := yaml.Unmarshal(shop, &base); err != nil {
		return nil, fmt.Errorf("the shop's settings: %w", err)
	}
	if err := yaml.Unmarshal(document, &has); err != nil {
		_, err := settings.Parse(document) // says where
		return nil, err
	}
	whole := bytes.NewBuffer(append(bytes.TrimRight(document, "\n"), '\n'))
	for _, item := range base {
		if _, ok := has.ToMap()[item.Key]; ok {
			continue
		}
		text, err := yaml.Marshal(yaml.MapSlice{item})
		if err != nil {
			return nil, fmt.Errorf("the shop's settings: %w", err)
		}
		whole.Write(text)
	}
	return whole.Bytes(), nil
}
