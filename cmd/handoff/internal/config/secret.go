package config

import (
	"fmt"
	"os"
	"strings"

	"github.com/handoff-dev/handoff/schemas/settings"
)

// Secret resolves a reference: env:NAME is the variable's value, file:/path the file's text without
// its last line break. An empty reference is an empty secret. A reference that leads nowhere is an
// error that says where it pointed, never what it held.
func Secret(ref settings.SecretRef) (string, error) {
	scheme, rest, _ := strings.Cut(string(ref), ":")
	switch {
	case ref == "":
		return "", nil
	case scheme == "env":
		v, ok := os.LookupEnv(rest)
		if !ok || v == "" {
			return "", fmt.Errorf("secret %s: the environment variable is not set", ref)
		}
		return v, nil
	case scheme == "file":
		b, err := os.ReadFile(rest)
		if err != nil {
			return "", fmt.Errorf("secret %s: %w", ref, err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	return "", fmt.Errorf("secret: a reference must begin with env: or file:")
}
