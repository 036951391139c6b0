// Command torture is what `make torture-runtime` runs; see package torture.
package main

import (
	"os"

	"github.com/handoff-dev/handoff/pipeline/kafka/torture"
)

func main() { os.Exit(torture.Main(os.Args[1:])) }
