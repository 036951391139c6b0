# Handoff. `make` alone lists the targets.
#
#   ARGS   arguments of demo, dev, bench, kafka      make demo ARGS=--once, make kafka ARGS=3
#   PKG    packages of test                   make test PKG=./stages/...

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

ARGS ?=
PKG ?= ./...
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
E2E := ./cmd/handoff/internal/e2e
# The whole system, and packages that are mostly the engine's native code, run without the race
# detector: it would watch what is not Go, or other processes. So do the scripts and the two largest
# stages: they run on one goroutine, and a hundred thousand random interleavings would take minutes.
SCRIPTS := ./cmd/handoff/internal/scripts
WITHOUT_RACE := $(E2E) $(SCRIPTS) ./sinks/clickhouse/embedded ./stages/consent ./stages/escalate
# The version is passed by hand: a clone that belongs to another user has no readable history.
GOBUILD := go build -buildvcs=false -ldflags '-X main.version=$(VERSION)'

.PHONY: help
help: ## List the targets
	@echo "Handoff: make <target>"; echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/handoff
	@$(GOBUILD) -o bin/handoff ./cmd/handoff

.PHONY: demo
demo: engine build ## Everything in one process tree, with a generator of conversations (ARGS=--once ends by itself)
	@bin/handoff demo $(ARGS)

.PHONY: dev
dev: engine build ## Everything in one process tree, waiting for your own messages
	@bin/handoff dev $(ARGS)

.PHONY: engine
engine: ## Fetch the ClickHouse engine into the user's cache, unless it is there
	@go run -buildvcs=false ./.ci/engine

.PHONY: test
test: engine ## Unit, script, property, integration and end-to-end tests
	@go test -timeout 10m $(PKG)

.PHONY: race
race: engine ## The tests with the race detector: of all packages in which goroutines share anything
	@.ci/race -without "$(WITHOUT_RACE)" $(PKG)

.PHONY: e2e
e2e: engine ## The end-to-end test alone, with its full number of kills
	@HANDOFF_E2E=full go test -count=1 -timeout 30m -v $(E2E)

.PHONY: fuzz
fuzz: ## Fuzz every decoder of outside bytes, 20 s each (FUZZTIME=20s)
	@.ci/fuzz $(or $(FUZZTIME),20s)

.PHONY: mutants
mutants: ## Break the runner on purpose, a promise at a time: a test must notice each (ARGS="-only sink")
	@go run -buildvcs=false ./.ci/mutants $(ARGS)

.PHONY: bench
bench: engine ## The stages' cores; the runner beside a bare pass-through, Kafka Streams and goka on a real Kafka: 20 minutes (ARGS="drain": a first look)
	$(if $(ARGS),,@GOGC=400 go test -buildvcs=false -run '^$$' -bench Cores -benchmem -cpu 1 $(SCRIPTS))
	@cd bench && go build -buildvcs=false -o out/bench . && out/bench $(or $(ARGS),run -suite quick -build $(VERSION))

.PHONY: bench-full
bench-full: engine ## The same with all key counts, value sizes, restores and long runs: hours; goes on where it was interrupted
	@cd bench && go build -buildvcs=false -o out/bench . && out/bench run -suite full -build $(VERSION) $(ARGS)

.PHONY: kafka
kafka: ## A real Apache Kafka on loopback until Ctrl-C: one node, or three with ARGS=3 (needs a JDK and Maven)
	@go run -buildvcs=false ./.ci/kafka $(ARGS)

.PHONY: torture
torture: torture-runtime torture-conversations torture-scripts ## All of the next

.PHONY: torture-runtime
torture-runtime: ## The runtime on a real Kafka under kill -9 and errors, checked against a model (ROUNDS=50 NODES=1, SEED=... replays)
	@go run -buildvcs=false ./.ci/torture -rounds $(or $(ROUNDS),50) -nodes $(or $(NODES),1) -seed $(or $(SEED),0) $(ARGS)

.PHONY: torture-conversations
torture-conversations: ## Random conversations through all stages in memory keep the invariants (INTERLEAVINGS=10000000, SEED=1, FROM=0 goes on with that conversation)
	@GOGC=400 HANDOFF_INTERLEAVINGS=$(or $(INTERLEAVINGS),10000000) HANDOFF_SEED=$(or $(SEED),1) HANDOFF_FROM=$(or $(FROM),0) go test -count=1 -timeout 0 -v -run '^TestRandomConversations$$' $(SCRIPTS)

.PHONY: torture-scripts
torture-scripts: ## All scripts at once through the whole pipeline on a real Kafka, disturbed, end as in memory (ROUNDS=1, SEED=... replays)
	@HANDOFF_TEST_KAFKA=start HANDOFF_ROUNDS=$(or $(ROUNDS),1) HANDOFF_SEED=$(or $(SEED),0) go test -count=1 -timeout 0 -v -run '^TestRealKafka(Scripts|Years|HeldScripts)$$' $(SCRIPTS)

.PHONY: check
check: ## Linters, protobuf rules, fresh generated files, import directions, budgets, licences
	@.ci/checks

.PHONY: train
train: ## Train the classifier that ships from the grammars and the public sets in DATA=dir; the same files make the same bytes
	@go run -buildvcs=false ./cmd/handoff train --shipped stages/classify/corpus --data "$(or $(DATA),$(error DATA is not set: the directory of the public sets))" --out stages/classify/shipped

.PHONY: bars
bars: build ## Public sets of intents with a model of their own each, as a shop would train it: the files in DATA=dir
	@dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	for set in clinc150:val hwu64:valid; do name=$${set%:*}; echo "== $$name"; \
		cat "$(or $(DATA),$(error DATA is not set: the directory of the public sets))/$$name.train.tsv" > "$$dir/$$name.tsv"; \
		bin/handoff train --data "$$dir/$$name.tsv" --out "$$dir/$$name.model" >/dev/null; \
		bin/handoff eval --data "$(DATA)/$$name.$${set#*:}.tsv" --model "$$dir/$$name.model" | sed -n 1,6p; done; \
	echo "== banking77: 1 of 5 training messages held back"; \
	bin/handoff train --data "$(DATA)/banking77.train.tsv" --out "$$dir/banking77.model" | sed -n 1,6p

.PHONY: generate
generate: ## Generate Go from schemas/proto, and docs/reference
	@.ci/tool buf generate
	@go run -buildvcs=false ./.ci/codecs schemas
	@gofmt -l -w schemas/handoffv1 schemas/statev1
	@go run -buildvcs=false ./.ci/reference

.PHONY: baseline
baseline: ## Take the protobuf schema of now as the one later changes must not break (on release)
	@.ci/tool buf build schemas/proto --exclude-source-info -o schemas/proto/baseline.binpb

.PHONY: clean
clean: ## Remove what was built here; the user's cache stays
	@rm -rf bin
