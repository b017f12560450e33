# `make run` and `make test` need nothing but Python 3.11 or newer and a package index.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,\
	$(if $(shell $(name) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(name))))
VENV := .venv
BIN := $(VENV)/bin
# Without --no-user an environment with PIP_USER could install nothing into a venv
PIP := $(BIN)/python -m pip install -qq --no-user --disable-pip-version-check --no-deps --require-hashes
# uv reads no pip.conf and writes no index address into what it makes
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command "make lock" pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup setup-test run test test-mosquitto chaos check audit bench bench-pages screenshots pictures lock

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(VENV)/.ready ## Make the virtual environment and install the locked requirements

setup-test: $(VENV)/.ready-test ## Install what the tests need as well

run: $(VENV)/.ready ## Start everything on this machine; Ctrl-C stops it
	@exec $(BIN)/python run.py

test: $(VENV)/.ready-test ## Run every test, the cheap ones first
	@$(BIN)/python -m tests

test-mosquitto: $(VENV)/.ready-test ## Run the tests of MQTT against Mosquitto instead of the embedded broker
	@DASHTRADE_TEST_BROKER=mosquitto $(BIN)/python -m tests mqtt

# SEED=7 replays a run
chaos: $(VENV)/.ready-test ## Let everything run in a storm of faults and hold all books against each other; takes a quarter of an hour
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED))

check: $(VENV)/.ready-test ## Look for faults without running anything: ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy .

audit: $(VENV)/.ready-test ## Ask OSV and PyPI for known vulnerabilities in what is installed
	@$(BIN)/python -m tests.audit

bench: $(VENV)/.ready-test ## Measure the speed and the memory of everything; takes ten minutes
	$(BIN)/python -m bench.webhook
	$(BIN)/python -m bench.latency
	$(BIN)/python -m bench.burst
	$(BIN)/python -m bench.memory
	$(BIN)/python -m bench.alerts
	$(BIN)/python -m bench.parser
	$(BIN)/python -m bench.reversal_scan

bench-pages: $(VENV)/.ready-test ## Measure every page of the dashboard in Chromium; takes a quarter of an hour
	$(BIN)/python -m bench.pages

screenshots: $(VENV)/.ready-test ## Write pictures of every page with the demo's data to screenshots/
	$(BIN)/python -m tests.browser.screenshots screenshots

pictures: $(VENV)/.ready-test ## Take the pictures of the README and the guides anew
	$(BIN)/python -m tests.browser.screenshots --guide docs/pictures

lock: $(VENV)/.ready-test ## Pin the newest versions that pyproject.toml allows
	$(LOCK) --upgrade --output-file requirements.txt
	$(LOCK) --upgrade --extra test --constraint requirements.txt --output-file requirements-test.txt

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or make PYTHON=/path/to/it"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# A stamp is newer than the requirements that were installed, so nothing is installed twice.
$(VENV)/.ready: requirements.txt $(VENV)/.made
	@echo "Installing the requirements; this takes a minute the first time"
	@$(PIP) --requirement requirements.txt
	@touch $@

$(VENV)/.ready-test: requirements-test.txt $(VENV)/.ready
	@$(PIP) --requirement requirements-test.txt
	@touch $@
