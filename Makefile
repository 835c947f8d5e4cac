# Every target builds .venv when it is missing. `make` alone lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PROTOS := $(shell find proto -name '*.proto')
PROTOC = $(BIN)/python -m grpc_tools.protoc -I$(1) --python_out=$(2) --pyi_out=$(2) --grpc_python_out=$(2) $(PROTOS)
# What protoc writes for a .proto, and what is committed beside it.
GENERATED := $(PROTOS:.proto=_pb2.py) $(PROTOS:.proto=_pb2.pyi) $(PROTOS:.proto=_pb2_grpc.py)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  %-10s %s\n", $$1, $$2}'

.venv/.ready: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || (echo 'taskflow needs Python 3.11 or newer; say: make PYTHON=python3.11 ...' && false)
	$(BIN)/python -m pip install --quiet --timeout 180 --editable '.[dev]'
	touch $@

.PHONY: demo
demo: .venv/.ready ## Place three orders through the whole system and watch them travel
	$(BIN)/python -m services.demo

.PHONY: up
up: .venv/.ready ## Start all services and workers and keep them up (Ctrl-C stops them)
	$(BIN)/python cli.py topology apply
	$(BIN)/honcho start

.PHONY: browser
browser: .venv/.ready
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	{ test $$(id -u) = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } || \
	$(BIN)/playwright install chromium

.PHONY: test
test: .venv/.ready browser ## Run all tests (one of them in Chromium, which is installed if missing)
	$(BIN)/python -m pytest

.PHONY: test-aws
test-aws: .venv/.ready ## Try the AWS broker in an account of yours, and clean up (AWS=aws://eu-central-1)
	@test -n '$(AWS)' || { echo 'say where: make test-aws AWS=aws://eu-central-1 (it makes queues, topics, a table and a bucket, all named taskflow-test-…, and removes them)'; exit 2; }
	TASKFLOW_TEST_AWS='$(AWS)' $(BIN)/python -m pytest tests/taskflow/aws/test_sockets.py -k account -v

.PHONY: contract-moto
contract-moto: .venv/.ready ## Run the contract suite over the AWS broker in front of moto, 2 minutes
	TASKFLOW_TEST_MOTO=1 $(BIN)/python -m pytest tests/contract -k moto

.PHONY: chaos
chaos: .venv/.ready ## 100,000 messages under 500 kills, stops, a lock, a full disk: nothing lost, 8 minutes
	$(BIN)/python -m tests.chaos $(CHAOS)

.PHONY: check
check: .venv/.ready ## Format, lint, types, import contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: .venv/.ready ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: proto
proto: .venv/.ready ## Generate code from the .proto files, and shapes.json from botocore
	$(call PROTOC,.,.)
	$(BIN)/python -m proto.aws.generate

.PHONY: verify
verify: .venv/.ready ## Check that the generated code is fresh
	@folder=$$(mktemp -d) && trap 'rm -r '"$$folder" EXIT && $(call PROTOC,.,$$folder) && \
	for file in $(GENERATED); do diff -u $$file $$folder/$$file || { echo "$$file is stale: make proto"; exit 1; }; done && \
	echo "generated code is fresh"
	$(BIN)/python -m proto.aws.generate --check

.PHONY: wheel
wheel: .venv/.ready ## Build the wheel and try it in an empty environment
	.ci/try-wheel $(BIN)/python

.venv-bench/.ready: benchmarks/requirements.txt setup.cfg
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --timeout 180 --requirement benchmarks/requirements.txt --editable .
	touch $@

.PHONY: bench
bench: .venv-bench/.ready ## Measure taskflow beside its peers, 16 minutes (make bench BENCH=--quick: 2)
	@command -v redis-server >/dev/null || { test $$(id -u) = 0 && apt-get install -y redis-server; } || \
	echo 'redis-server is missing (apt-get install redis-server): peers that need it will fail'
	.venv-bench/bin/python -m benchmarks $(BENCH)

.venv-bench-wire/.ready: benchmarks/wire/requirements.txt setup.cfg
	test -x .venv-bench-wire/bin/python || $(PYTHON) -m venv .venv-bench-wire
	.venv-bench-wire/bin/python -m pip install --quiet --timeout 180 --requirement $< --editable '.[server]'
	touch $@

.venv-bench-wire-localstack/.ready: benchmarks/wire/requirements-localstack.txt
	test -x .venv-bench-wire-localstack/bin/python || $(PYTHON) -m venv .venv-bench-wire-localstack
	.venv-bench-wire-localstack/bin/python -m pip install --quiet --timeout 180 --requirement $<
	touch $@

.PHONY: bench-wire
bench-wire: .venv-bench-wire/.ready .venv-bench-wire-localstack/.ready ## Measure `taskflow serve` beside emulators, 12 minutes (BENCH=--quick: 3)
	.venv-bench-wire/bin/python -m benchmarks.wire $(BENCH)

.venv-clients/.ready: clients/requirements.txt
	test -x .venv-clients/bin/python || $(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --timeout 180 --requirement $<
	touch $@

.venv-clients/.bench-aws: benchmarks/aws/requirements.txt .venv-clients/.ready
	.venv-clients/bin/python -m pip install --quiet --timeout 180 --requirement clients/requirements.txt --requirement $<
	touch $@

.PHONY: bench-aws
bench-aws: .venv/.ready .venv-clients/.ready .venv-clients/.bench-aws ## Count requests on SQS and SNS beside Celery and Dramatiq, 7 minutes (BENCH=--quick: 3)
	$(BIN)/python -m benchmarks.aws $(BENCH)

.venv-clients-old/.ready: clients/requirements-old.txt
	test -x .venv-clients-old/bin/python || $(PYTHON) -m venv .venv-clients-old
	.venv-clients-old/bin/python -m pip install --quiet --timeout 180 --requirement $<
	touch $@

clients/node/node_modules/.ready: clients/node/package.json
	@command -v npm >/dev/null || { test $$(id -u) = 0 && apt-get install -y nodejs npm; }
	npm install --prefix clients/node --no-package-lock --no-audit --no-fund
	touch $@

.PHONY: clients
clients: .venv/.ready .venv-clients/.ready .venv-clients-old/.ready clients/node/node_modules/.ready ## Drive real clients against `taskflow serve`, 3 minutes
	$(BIN)/python -m clients $(CLIENTS)
