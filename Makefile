# `make` prints this help. Every target sets up what it needs.
SHELL := /bin/sh
# The first Python here that is new enough; name another with: make PYTHON=python3.12 demo
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# How large: make kill KILL="--contacts 20000 --kills 100 --transport sendgrid"
KILL ?= --contacts 3000 --kills 30

.DEFAULT_GOAL := help
.PHONY: help demo run months kill test check format golden reference lock wheel

help: ## print this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Asterism needs Python 3.11 or newer; install it, or name it with: make PYTHON=/path/to/python demo"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing from requirements.lock into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## run the main job on a sample workspace, from feeds to inboxes
	@$(BIN)/asterism demo

run: $(READY) ## let this workspace run by itself, with its pages on http://127.0.0.1:8000/
	@$(BIN)/asterism run

months: $(READY) ## leave it running through six pretended months, and account for every beat
	@$(BIN)/python -m tests.months

kill: $(READY) ## kill senders in the middle of sending, thousands of letters, and count what arrived
	@$(BIN)/python -m tests.kill $(KILL)

test: $(READY) ## run all tests
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

check: $(READY) ## format, lint, types, floors
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## put the code into shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

golden: $(READY) ## write the golden letters anew; read the diff before you commit it
	@$(BIN)/python -m pytest tests/rules/letters --golden

lock: ## pin the newest releases (needs uv)
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 --all-extras --group dev --upgrade pyproject.toml -o requirements.lock
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 --extra postgres -c requirements.lock pyproject.toml -o deploy/requirements.lock

wheel: $(READY) ## build the wheel into dist/
	@$(BIN)/python -m hatchling build -t wheel

reference: $(READY) ## write docs/reference/ from the program
	@$(BIN)/python -m pipeline.cli.reference docs/reference
