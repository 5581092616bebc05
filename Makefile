# Everything a person does here, with Python 3.11 or later and make alone. `make help` lists it.
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Folders that hold Python of ours.
SOURCES := $(wildcard protocol dispatcher worker_sdk examples tests bench docs/*.py)
# Many tests wait for processes: two run at a time, each file's tests one after the other, in the
# order of tests/conftest.py, which has the long ones first.
TEST_PROCESSES ?= 2
PYTEST_ARGS ?=
# The real Node clients of the conformance tests; without npm those tests say that they are skipped.
NODE := tests/conformance/node
NODE_PACKAGES := $(if $(shell command -v npm 2>/dev/null),$(NODE)/node_modules/.package-lock.json)
# LiveKit's own server, for the tests with a real SFU; without go those say that they are skipped.
# The version is in tests/support/livekit_server.py too.
LIVEKIT_VERSION := v1.13.3
LIVEKIT_FOLDER := tests/.livekit
LIVEKIT_PROGRAM := $(LIVEKIT_FOLDER)/livekit-server-$(LIVEKIT_VERSION)
LIVEKIT_SERVER := $(if $(shell command -v go 2>/dev/null),$(LIVEKIT_PROGRAM))

# What callboard is compared with: clients in an environment of their own, for none of them is the
# project's, and NATS's server where Go is. What is missing is left out of the comparison.
COMPARE := bench/compare
NATS_VERSION := v2.15.2
NATS_FOLDER := $(COMPARE)/.programs
NATS_PROGRAM := $(NATS_FOLDER)/nats-server-$(NATS_VERSION)
NATS_SERVER := $(if $(shell command -v go 2>/dev/null),$(NATS_PROGRAM))

.DEFAULT_GOAL := help
.PHONY: help venv demo test check format lint types lock protos bench compare scale soak clean

help: ## Say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

# The locks pin every package by hash. Two stamps: the demo needs only what runs, not what tests.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Callboard needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V 2>&1). Set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

venv: $(VENV)/.dev ## Make .venv from the pinned locks

demo: $(VENV)/.runtime ## Run the main job here: a server, workers, rooms, and kills on the way
	$(BIN)/callboard demo

$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json
	npm ci --prefix $(NODE) --no-audit --no-fund || echo "No Node packages: those tests are skipped." >&2

# Go gives a program its folder's name: "server".
$(LIVEKIT_PROGRAM):
	@mkdir -p $(LIVEKIT_FOLDER)
	{ GOBIN=$(abspath $(LIVEKIT_FOLDER)) go install -ldflags=-w github.com/livekit/livekit-server/cmd/server@$(LIVEKIT_VERSION) \
		&& mv $(LIVEKIT_FOLDER)/server $@; } || echo "No livekit-server: its tests are skipped." >&2

test: $(VENV)/.dev $(NODE_PACKAGES) $(LIVEKIT_SERVER) ## Run all tests; says what was skipped and why
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

check: lint types test ## Check format, lint, types and tests: the one command

lint: $(VENV)/.dev ## Check format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev ## Check types, strictly
	$(BIN)/mypy $(SOURCES)

format: $(VENV)/.dev ## Format, and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

UV_LOCK = UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links

lock: $(VENV)/.dev ## Pin anew what pyproject.toml allows (UPGRADE=1: the newest)
	$(UV_LOCK) $(if $(UPGRADE),--upgrade) --group dev pyproject.toml -o requirements-dev.lock
	$(UV_LOCK) --group build -c requirements-dev.lock pyproject.toml -o requirements.lock
	$(UV_LOCK) -c requirements-dev.lock pyproject.toml $(COMPARE)/requirements.in -o $(COMPARE)/requirements.lock

protos: $(VENV)/.dev ## Generate the Python of protocol/'s proto files
	sh protocol/generate.sh $(BIN)/python

bench: $(VENV)/.dev ## Measure the server against the bare transport
	$(BIN)/python -m bench

$(COMPARE)/.venv/.done: $(COMPARE)/requirements.lock | $(BIN)/python
	$(PYTHON) -m venv $(COMPARE)/.venv
	$(COMPARE)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(NATS_PROGRAM):
	@mkdir -p $(NATS_FOLDER)
	{ GOBIN=$(abspath $(NATS_FOLDER)) go install -ldflags=-w github.com/nats-io/nats-server/v2@$(NATS_VERSION) \
		&& mv $(NATS_FOLDER)/nats-server $@; } || echo "No nats-server: it is left out." >&2

compare: $(VENV)/.dev $(COMPARE)/.venv/.done $(NATS_SERVER) $(LIVEKIT_SERVER) ## Measure the server beside LiveKit, NATS and taskiq
	$(BIN)/python -m bench.compare $(COMPARE_ARGS)

scale: $(VENV)/.dev ## Measure the server with 10,000 workers and 1,000,000 queued jobs
	$(BIN)/python -m bench.scale $(SCALE_ARGS)

soak: $(VENV)/.dev ## Measure the server for half an hour at half load
	$(BIN)/python -m bench.soak $(SOAK_ARGS)

clean: ## Remove the environment, caches and builds
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis $(NODE)/node_modules $(LIVEKIT_FOLDER)
	rm -rf $(COMPARE)/.venv $(NATS_FOLDER)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
