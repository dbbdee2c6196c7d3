# Needs only Python 3.11 or newer, make and a package index.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CLIPS ?=
WORKSPACE ?= workspaces/$(notdir $(patsubst %/,%,$(CLIPS)))
PROCESSES ?= 1
SERVE ?= 1
DOCS ?= build/api
TESTS = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow and not gpu" -n 2 --dist loadgroup
export JOYSTREAMER_WEIGHTS

.PHONY: help setup system check lint types imports audit test test-long coverage explore demo score docs lock

help:  ## list what make can do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY)  ## make the virtual environment with the locked dependencies
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("error: Python %d.%d is too old; JoyStreamer needs 3.11 or newer: make setup PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	@echo "installing the locked packages into $(VENV): some GB to download, several minutes"
	$(BIN)/python -m pip install --quiet --progress-bar off -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

system:  ## install a Chromium and a PostgreSQL with the system's package manager where it may
	@sh .ci/system.sh

check: lint types imports audit test  ## everything a change must pass

lint: setup  ## style and common mistakes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup  ## static types
	$(BIN)/mypy

imports: setup  ## folders import only downwards
	$(BIN)/lint-imports

audit: setup  ## known vulnerabilities of the locked dependencies, or the words 'not audited'
	@$(BIN)/python .ci/audit.py

test: setup system  ## the whole test suite, minutes on two cores
	$(TESTS)

test-long: setup system  ## the same with the heavier forms
	$(BIN)/python -m pytest -m "not gpu"

coverage: setup system  ## the test suite, and which lines it runs: build/coverage/index.html
	$(TESTS) --cov --cov-report=term:skip-covered --cov-report=html:build/coverage

explore: setup  ## look for counterexamples that the test command has not tried
	HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -m "not slow and not gpu and not browser" -k "$(or $(ONLY),test)"

score: setup  ## score a folder of clips: make score CLIPS=folder [PROCESSES=2]
	@test -n "$(CLIPS)" || { echo "error: no clips given; call it as: make score CLIPS=path/to/folder"; exit 2; }
	@$(BIN)/python -m eval ingest "$(CLIPS)" --workspace "$(WORKSPACE)"; code=$$?; [ $$code -le 1 ]
	@$(BIN)/python -m eval score --workspace "$(WORKSPACE)" --processes $(PROCESSES); code=$$?; [ $$code -le 1 ]
	@$(BIN)/python -m eval leaderboard --workspace "$(WORKSPACE)"
	@$(BIN)/python -m eval report --workspace "$(WORKSPACE)"

demo: PROCESSES = 2
demo: setup  ## render, score and compare the bundled tiny checkpoints, then serve: make demo [SERVE=0]
	@$(BIN)/python -m benchmarks demo --processes $(PROCESSES) $(if $(filter 0 no,$(SERVE)),--no-serve,--serve)

# Modules by name, because packages with __all__ hide their files; pages that draw when imported are left out.
DRAWING = dashboard.app dashboard.home dashboard.campaigns dashboard.rate
DOCUMENTED = $(filter-out $(DRAWING), $(shell \
	find joystreamer eval benchmarks dashboard -name '*.py' ! -name '__main__.py' ! -path '*/migrations/*' \
	| sed 's|\.py$$||; s|/__init__$$||; s|/|.|g' | sort))

# What pdoc warns of and nobody can mend: files named twice, pages left out, names loaded when asked for, types
# that are imported for checkers only.
QUIETLY = -W "ignore:The module specification" -W "ignore:Found 'JoyStreamer" \
	-W "ignore:Error parsing type annotation" $(DRAWING:%=-W "ignore:Couldn't import %")

docs: setup  ## write the API reference as HTML: make docs [DOCS=folder]
	@$(BIN)/python $(QUIETLY) -m pdoc --docformat google --output-directory "$(DOCS)" $(DOCUMENTED) $(DRAWING:%='!%$$')
	@echo "API reference: $(DOCS)/index.html"

lock:  ## resolve requirements.in again and write requirements.lock
	$(BIN)/python -m pip install --quiet -r requirements.in
	$(BIN)/python -m pip freeze --exclude-editable --exclude joystreamer > requirements.lock
