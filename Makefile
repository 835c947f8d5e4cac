# Every target builds .venv when it is missing. `make` alone lists the targets.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PROTOS := $(shell find proto -name '*.proto')
PROTOC = $(BIN)/python -m grpc_tools.protoc -I$(1) --python_out=$(2) --pyi_out=$(2) --grpc_python_out=$(2) $(PROTOS)
# What protoc writes for a .proto, and what is committed beside it.
GENERATED := $(PROTOS:.proto=_pb2.py) $(PROTOS:.proto=_pb2.pyi) $(PROTOS:.proto=_pb2_grpc.py)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  %-10s %s\n", $$1, $$2}'

# Exact versions, from the lock files alone: nothing that is released tomorrow changes what they do.
INSTALL = -m pip install --quiet --timeout 180 --disable-pip-version-check
TASKFLOW = $(INSTALL) --no-deps --no-build-isolation --editable .

$(VENV)/.ready: locks/dev.txt setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || (echo 'taskflow needs Python 3.11 or newer; say: make PYTHON=python3.11 ...' && false)
	$(BIN)/python $(INSTALL) --require-hashes --requirement locks/dev.txt
	$(BIN)/python $(TASKFLOW)
	touch $@

.PHONY: lock
lock: $(VENV)/.ready ## Write the lock files anew after a change of requirements (LOCK=--upgrade: the newest of all)
	UV=$(BIN)/uv locks/lock $(LOCK)

.PHONY: demo
demo: $(VENV)/.ready $(filter postgres,$(DEMO)) ## Place four orders through the whole system and watch them travel (DEMO=postgres: over a PostgreSQL server; DEMO=traces: with the trace of one)
	$(if $(filter postgres,$(DEMO)),$(BIN)/python -m tests.postgres_server) $(BIN)/python -m services.demo $(if $(filter traces,$(DEMO)),--traces)

.PHONY: up
up: $(VENV)/.ready ## Start all services and workers and keep them up (Ctrl-C stops them)
	$(BIN)/python cli.py topology apply
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/honcho start

.PHONY: browser
browser: $(VENV)/.ready
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	{ test $$(id -u) = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } || \
	$(BIN)/playwright install chromium

# Debian's package brings the server's programs; what it starts itself is none of ours.
.PHONY: postgres
postgres:
	@command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || \
	{ test $$(id -u) = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends postgresql; } || \
	{ echo 'no PostgreSQL server on this machine: apt-get install postgresql'; exit 1; }

# Out of Debian's package, without installing it: that would start a server on this machine.
.PHONY: promtool
promtool: $(VENV)/.ready
	@command -v promtool >/dev/null || test -x $(BIN)/promtool || \
	{ folder=$$(mktemp -d) && { test $$(id -u) != 0 || apt-get update -qq; } && \
	  (cd $$folder && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .) && \
	  install $$folder/usr/bin/promtool $(BIN)/ && rm -r $$folder; } || \
	{ echo 'no promtool on this machine, and no Debian package of prometheus to take it from'; exit 1; }

.PHONY: systemd
systemd:
	@command -v systemd-analyze >/dev/null || \
	{ test $$(id -u) = 0 && command -v apt-get >/dev/null && apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends systemd; } || \
	{ echo 'no systemd-analyze on this machine: apt-get install systemd'; exit 1; }

.PHONY: test
test: $(VENV)/.ready browser postgres promtool systemd ## Run all tests (Chromium, a PostgreSQL server and checkers are installed if missing)
	$(BIN)/python -m pytest -n 3 --durations=20

.PHONY: quick
quick: $(VENV)/.ready ## Run the tests but for crashes, models, end-to-end and fuzz, 3 minutes
	$(BIN)/python -m pytest -n 2 --quick

# A shim of pyenv is on the path also where its Python is not chosen: what runs is there.
.PHONY: pythons
pythons: ## Run `make quick` with each Python that taskflow claims (3.11, 3.12, 3.13), 3 minutes each
	@ran= missing=; for version in 3.11 3.12 3.13; do \
	  python=$$(for one in python$$version "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/$$version.*/bin/python; do \
	    if "$$one" -c '' 2>/dev/null; then echo "$$one"; break; fi; done); \
	  if [ -z "$$python" ]; then missing="$$missing $$version"; continue; fi; \
	  $(MAKE) quick VENV=.venv-$$version PYTHON="$$python" || exit 1; \
	  ran="$$ran $$version"; \
	done; echo "ran with:$${ran:- none}; not installed here:$${missing:- none}"

.PHONY: latest
latest: ## Install the newest of everything, locks aside, and run the suite: meet drift on purpose
	rm -rf .venv-latest && $(PYTHON) -m venv .venv-latest
	.venv-latest/bin/python $(INSTALL) --upgrade --editable '.[dev]'
	touch .venv-latest/.ready
	$(MAKE) test VENV=.venv-latest
	$(MAKE) verify VENV=.venv-latest

.PHONY: test-aws
test-aws: $(VENV)/.ready ## Try the AWS broker in an account of yours, and clean up (AWS=aws://eu-central-1)
	@test -n '$(AWS)' || { echo 'say where: make test-aws AWS=aws://eu-central-1 (it makes queues, topics, a table and a bucket, all named taskflow-test-…, and removes them)'; exit 2; }
	TASKFLOW_TEST_AWS='$(AWS)' $(BIN)/python -m pytest tests/taskflow/aws/test_sockets.py -k account -v

.PHONY: contract-moto
contract-moto: $(VENV)/.ready ## Run the contract suite over the AWS broker in front of moto, 2 minutes
	TASKFLOW_TEST_MOTO=1 $(BIN)/python -m pytest tests/contract -k moto

.PHONY: chaos
chaos: $(VENV)/.ready ## 100,000 messages under 500 kills, stops, a lock, a full disk: nothing lost, 7 minutes
	$(BIN)/python -m tests.chaos $(CHAOS)

.PHONY: chaos-chords
chaos-chords: $(VENV)/.ready ## 1,000 chords of 100 members whose workers are killed: each body ends once, 5 minutes
	$(BIN)/python -m tests.crash.chords $(CHORDS)

.PHONY: plans
plans: $(VENV)/.ready ## 3,000 random plans of tasks under random deaths, against plain Python, 2 minutes
	TASKFLOW_PLANS=3000 $(BIN)/python -m pytest tests/model/test_plans.py -o faulthandler_timeout=1200

.PHONY: models
models: $(VENV)/.ready ## The models of broker, worker and order with twenty times as many cases, 15 minutes
	TASKFLOW_EXAMPLES=20 $(BIN)/python -m pytest $(addprefix tests/model/test_,broker_model.py fifo_model.py worker_model.py inflight_model.py) -n 2 -o faulthandler_timeout=3600

.PHONY: histories
histories: $(VENV)/.ready ## 10,000 random applications and workflows in simulations full of faults, against plain Python, 7 minutes
	TASKFLOW_HISTORIES=10000 $(BIN)/python -m pytest tests/model/test_simulation.py tests/model/test_workflows.py -n 2 -o faulthandler_timeout=3600

.PHONY: month
month: $(VENV)/.ready ## Simulate 30 days of an application with a schedule a minute, and say how long it took
	$(BIN)/python -m benchmarks.month

.PHONY: zones
zones: $(VENV)/.ready ## Try schedules at each change of clocks in five years, in every zone there is, 10 seconds
	TASKFLOW_TEST_ZONES=1 $(BIN)/python -m pytest tests/taskflow/scheduling/test_times.py -k every_zone

.PHONY: fuzz
fuzz: $(VENV)/.ready ## 300,000 requests that are nearly right, at all that listens: no fault, 4 minutes
	$(BIN)/python -m tests.fuzz $(FUZZ)

.PHONY: check
check: $(VENV)/.ready ## Format, lint, types, import contract, dead code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture taskflow services cli.py .ci/vulture_whitelist.py --exclude '*_pb2*' --ignore-decorators '@*.command*,@pytest.fixture,@*.group*,@subscribe*' --ignore-names 'on_get,on_post,do_GET,log_message,process_*,handle_*,test_*,pytest_*'

.PHONY: format
format: $(VENV)/.ready ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: proto
proto: $(VENV)/.ready ## Generate code from the .proto files, and shapes.json from botocore
	$(call PROTOC,.,.)
	$(BIN)/python -m proto.aws.generate

.PHONY: verify
verify: $(VENV)/.ready ## Check that the generated code is fresh
	@folder=$$(mktemp -d) && trap 'rm -r '"$$folder" EXIT && $(call PROTOC,.,$$folder) && \
	for file in $(GENERATED); do diff -u $$file $$folder/$$file || { echo "$$file is stale: make proto"; exit 1; }; done && \
	echo "generated code is fresh"
	$(BIN)/python -m proto.aws.generate --check

.PHONY: docs
docs: $(VENV)/.ready ## Build the pages as a site into build/site, half a minute; a broken link or an orphan fails
	$(BIN)/python -m sphinx -q -W --keep-going -E -j auto -c docs/site -d build/doctrees -b html . build/site
	@echo "the site is in build/site"

.PHONY: recording
recording: $(VENV)/.ready ## Run the demo and make docs/images/demo.svg of what it prints
	$(BIN)/python -m services.demo | $(BIN)/python docs/site/recording.py docs/images/demo.svg

.PHONY: wheel
wheel: $(VENV)/.ready ## Build the wheel and try it in an empty environment
	.ci/try-wheel $(BIN)/python

.venv-%/.ready: locks/%.txt setup.cfg
	test -x .venv-$*/bin/python || $(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python $(INSTALL) --require-hashes --requirement $<
	if grep -q '^setuptools==' $<; then .venv-$*/bin/python $(TASKFLOW); fi
	touch $@

.PHONY: bench
bench: .venv-bench/.ready ## Measure taskflow beside its peers, 28 minutes (make bench BENCH=--quick: 4)
	@command -v redis-server >/dev/null || { test $$(id -u) = 0 && apt-get install -y redis-server; } || \
	echo 'redis-server is missing (apt-get install redis-server): peers that need it will fail'
	.venv-bench/bin/python -m benchmarks $(BENCH)

.PHONY: bench-postgres
bench-postgres: .venv-bench/.ready ## Drain queues over PostgreSQL by taskflow, PgQueuer and Procrastinate, 2 minutes
	.venv-bench/bin/python -m benchmarks.postgres $(BENCH)

.PHONY: bench-wire
bench-wire: .venv-bench-wire/.ready .venv-bench-wire-localstack/.ready ## Measure `taskflow serve` beside emulators, 12 minutes (BENCH=--quick: 3)
	.venv-bench-wire/bin/python -m benchmarks.wire $(BENCH)

.PHONY: bench-scale
bench-scale: $(VENV)/.ready ## Measure one process over one file beside many over many, under 5 minutes
	$(BIN)/python -m benchmarks.scale $(BENCH)

.PHONY: bench-workflows
bench-workflows: $(VENV)/.ready ## Measure steps, runs and recovery of workflows, 4 minutes (BENCH='--suspended 1000000': a million that wait)
	$(BIN)/python -m benchmarks.workflows $(BENCH)

.PHONY: bench-aws
bench-aws: $(VENV)/.ready .venv-bench-aws/.ready ## Count requests on SQS and SNS beside Celery and Dramatiq, 7 minutes (BENCH=--quick: 3)
	$(BIN)/python -m benchmarks.aws $(BENCH)

tests/clients/node/node_modules/.ready: tests/clients/node/package-lock.json
	@command -v npm >/dev/null || { test $$(id -u) = 0 && apt-get install -y nodejs npm; }
	npm ci --prefix tests/clients/node --no-audit --no-fund
	touch $@

.PHONY: clients
clients: $(VENV)/.ready .venv-clients/.ready .venv-clients-old/.ready tests/clients/node/node_modules/.ready ## Drive real clients against `taskflow serve`, 3 minutes
	$(BIN)/python -m tests.clients $(CLIENTS)
