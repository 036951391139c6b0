package classifier

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/handoff-dev/handoff/stages/classify/model"
)

// modelFile ends the names of models' files.
const modelFile = ".model"

// ReadModels reads the shops' models in a directory, by the names of their files. "" has none. The error names
// the file and says what to do.
func ReadModels(dir string) (map[string]*model.Model, error) {
	models := map[string]*model.Model{}
	if dir == "" {
		return models, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("classifier.models: %w; name a directory that holds the shops' models, or nothing", err)
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), modelFile)
		if !ok || e.IsDir() {
			continue
		}
		if models[name], err = ReadModel(filepath.Join(dir, e.Name())); err != nil {
			return nil, fmt.Errorf("classifier.models: %w", err)
		}
	}
	return models, nil
}

// ReadModel reads a model's file and checks that it places messages. The error says what to do.
func ReadModel(file string) (*model.Model, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	m, err := model.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; make one with handoff train", file, err)
	}
	if _, _, ok := m.Head("intent"); !ok {
		return nil, fmt.Errorf("%s: %w: it has no intents; make one with handoff train", file, model.ErrModel)
	}
	return m, nil
}

// CheckModel tells what is wrong with a shop's setting of a model: nil where it has none, or one that this
// process can read. Every process that runs classify needs the same files.
func CheckModel(dir, name string) error {
	if name == "" {
		return nil
	}
	if dir == "" {
		return fmt.Errorf("is %q, but the process has no directory of models: set classifier.models", name)
	}
	switch _, err := ReadModel(filepath.Join(dir, name+modelFile)); {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("is %q, but there is no %s%s in %s: make it with handoff train --out", name, name, modelFile, dir)
	case err != nil:
		return fmt.Errorf("is %q: %w", name, err)
	}
	return nil
}
