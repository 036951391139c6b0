// Command engine makes sure that a ClickHouse engine is there for tests and the demo: a `clickhouse`
// binary on the PATH, else the library in the user's cache, fetched once with its progress on stderr.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/handoff-dev/handoff/sinks/clickhouse/embedded"
)

// patience bounds a download over a slow line: the library has 178 MB.
const patience = 20 * time.Minute

func main() {
	if path, err := exec.LookPath("clickhouse"); err == nil {
		fmt.Fprintln(os.Stderr, "ClickHouse engine:", path)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	path, err := embedded.Install(ctx, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, "ClickHouse engine:", path)
}
