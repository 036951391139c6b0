package main

import (
	"fmt"
	"strings"
)

func chainTable(b *strings.Builder, r *results, e experiment) {
	heading(b, r, e)
	fmt.Fprintf(b, "From the customer's text until its command can be read in deliver's mailbox, committed; latencies at %d records/s.\n\n", chainLight)
	fmt.Fprint(b, "CPU is µs a record until the input is drained; all processes share the cores. \"settled\" is the rate until all that was caused is done too.\n\n")
	fmt.Fprintln(b, "| side | records/s | CPU | of the broker | of ClickHouse | of stand-ins and reader | settled records/s | CPU until settled | peak RSS MiB | p50 ms | p99 ms | the pipeline's rate is × this | its p99 is × this |")
	fmt.Fprintln(b, "|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, side := range e.Sides {
		fmt.Fprintf(b, "| %s ", side)
		for _, m := range []string{metricRate, metricCPU, metricCPUBroker, metricCPUEngine, metricCPUBench, metricSettled, metricCPUSettled,
			metricMemory, metricLightP50, metricLightP99} {
			fmt.Fprintf(b, "| %s ", number(r.spread(e.Name, side, m)))
		}
		fmt.Fprintf(b, "| %s | %s |\n", number(r.ratio(e.Name, sidePipeline, side, metricRate)), number(r.ratio(e.Name, sidePipeline, side, metricLightP99)))
	}
}

func chainTargets(r *results, e experiment) []target {
	return []target{
		{"pipeline ÷ five bare hops, records/s", r.ratio(e.Name, sidePipeline, sideChain5, metricRate), true, .4},
		{"pipeline ÷ five bare hops, p99 at light load", r.ratio(e.Name, sidePipeline, sideChain5, metricLightP99), false, 2},
	}
}
