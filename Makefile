# make run and make test need Go and nothing else. make help lists the targets.

GO       ?= go
ARGS     ?=
VERSION  ?= $(shell git describe --always --dirty 2>/dev/null || echo unknown)
TEST_BIN ?= $(or $(TSDB_TEST_BIN),$(HOME)/.cache/tsdb-test/bin)
SOAK     ?= 1h

# Packages whose tests run many goroutines: the race detector goes over these.
# -short leaves out repetitions that have one goroutine; make test runs them all.
# Of the packages whose tests take longest it goes over those with many goroutines.
CONCURRENT ?= AtOnce|Background|Beside|Busy|Cancel|Close|Concurrent|During|Fair|Job|Meanwhile|Shar|Stop|Wait|While|Work|Yield
RACE       ?= ./internal/vfs/... ./internal/background/... ./storage/... ./query/... ./api/... ./cmd/...

.PHONY: help build run proto web web-check test test-deps test-deps-fresh race fuzz bench bench-servers bench-queries bench-size lint soak clean

build: ## bin/tsdb
	@echo "building bin/tsdb (the first time Go compiles every library too, which takes minutes)"
	@$(GO) build -ldflags "-X main.version=$(VERSION)" -o bin/tsdb ./cmd/tsdb

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' Makefile

run: build ## the server, with its defaults: make run ARGS="--data /srv/tsdb"
	bin/tsdb serve $(ARGS)

proto: ## the Go code of the .proto files; needs no protoc
	cd proto/gen && $(GO) run .

web: ## the bundle of the page for browsers, from web/
	.ci/test-deps node
	cd web && export PATH="$(TEST_BIN):$$PATH" && npm ci --ignore-scripts && npm run build

web-check: ## the committed bundle is what web/ gives; unit tests of the page
	.ci/web-check

test: ## every test; those that need a program from test-deps are skipped without it
	$(GO) test -vet=off -timeout 20m -p 3 ./... # lint vets; the end-to-end tests mostly wait

test-deps: ## the real clients, reference servers and the linter
	.ci/test-deps

test-deps-fresh: ## proves that test-deps works on a new machine: empty module cache, empty tool folder
	.ci/test-deps fresh

race: ## the concurrent packages under the race detector
	$(GO) test -race -short -vet=off -timeout 20m $$($(GO) list $(RACE) | grep -vxE 'tsdb/(storage|query)')
	$(GO) test -race -short -vet=off -timeout 20m -run '$(CONCURRENT)' ./storage ./query
	$(GO) test -race -short -vet=off -timeout 20m -run 'ManyAtOnce|Concurrent|Version|Files|Sweep' ./partition/block ./partition/blockset # the rest has one goroutine

fuzz: ## every fuzz target for half a second
	.ci/fuzz

bench: ## micro-benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-servers: build ## the whole server under load, beside Debian's prometheus if it is there
	$(GO) run ./benchmarks/compare write -tsdb bin/tsdb $(ARGS)

bench-queries: build ## queries: make bench-queries ARGS="-victoriametrics PATH -prometheus PATH -data DIR"
	$(GO) run ./benchmarks/compare query -tsdb bin/tsdb $(ARGS)

bench-size: build ## bytes a sample at rest: make bench-size ARGS="-victoriametrics PATH -recording FILE"
	$(GO) run ./benchmarks/size -tsdb bin/tsdb $(ARGS)

lint: ## gofmt, vet, staticcheck
	@unformatted=$$(gofmt -l $$($(GO) list -f '{{.Dir}}' ./...)); \
	if [ -n "$$unformatted" ]; then echo "gofmt these:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	.ci/test-deps lint
	$(TEST_BIN)/staticcheck ./...

soak: test-deps-fresh ## the long form of tests, kill -9 and full disks first: make soak SOAK=8h
	TSDB_SOAK=$(SOAK) $(GO) test -timeout 0 -count=1 -v -run 'Kill|Disk' ./internal/e2e
	TSDB_SOAK_QUERIES=150000 $(GO) test -timeout 0 -count=1 -v -run AnswersEqualPrometheusEngine ./query
	TSDB_SOAK_QUERIES=1000000 $(GO) test -timeout 0 -count=1 -v -run TiersAnswerAsSamplesDo ./query
	FUZZTIME=1m .ci/fuzz
	TSDB_FLEET=10000x365 $(GO) test -timeout 0 -count=1 -v -run YearOfAFleet ./storage
	TSDB_SOAK_SEEDS=50000 $(GO) test -timeout 0 -count=1 -v -run 'TestLife$$' ./storage

clean: ## removes what build made
	rm -rf bin
