# `make` lists the targets. `make setup` is all a machine with Python >= 3.11, git and make needs.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first Python that is new enough; `make PYTHON=/path/to/python3.12 …` names another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	echo $$python; exit; fi; done; echo python3)
VENV_BIN := .venv/bin

.PHONY: help setup demo test test-torch up down check format docs lock bench quality clean

help: ## lists the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 20

setup: ## installs everything into .venv and .cache; nothing to do takes under a second
	@$(PYTHON) -m deploy.setup

demo: setup ## ingests the sample files, shows progress, asks one question, stops again
	@$(VENV_BIN)/python -m deploy.demo

test: setup ## runs the tests; names what it left out, and how to run that
	@$(VENV_BIN)/python -m deploy.run_tests $(ARGUMENTS)

test-torch: setup ## tests the engines that need torch, in an environment of their own (6 GB)
	@$(VENV_BIN)/python -m deploy.setup.torch_environment
	@.cache/torch-venv/bin/python -m deploy.run_tests -m torch $(ARGUMENTS)

up: setup ## starts the embedded stack in the foreground
	@$(VENV_BIN)/python -m deploy.embedded up $(ARGUMENTS)

down: setup ## stops the embedded stack
	@$(VENV_BIN)/python -m deploy.embedded down $(ARGUMENTS)

check: setup ## format, lint, types, layers, drift of generated documents
	$(VENV_BIN)/ruff format --check .
	$(VENV_BIN)/ruff check .
	$(VENV_BIN)/mypy
	$(VENV_BIN)/lint-imports
	$(VENV_BIN)/python -m api.openapi --check docs/openapi.json
	$(VENV_BIN)/python -m muniment.settings --check docs/settings.md

format: setup ## formats the code and sorts imports
	$(VENV_BIN)/ruff format .
	$(VENV_BIN)/ruff check --fix .

docs: setup ## writes the generated documents anew
	$(VENV_BIN)/python -m api.openapi > docs/openapi.json
	$(VENV_BIN)/python -m muniment.settings > docs/settings.md

lock: setup ## compiles both lock files anew from pyproject.toml
	$(VENV_BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--group dev pyproject.toml -o requirements.lock
	@# Not universal: surya-ocr and fastembed agree on a pillow on Python 3.11 and 3.12 alone.
	$(VENV_BIN)/uv pip compile -q --python-platform linux --python-version 3.11 --generate-hashes \
		--no-emit-index-url --group dev --extra surya --extra docling pyproject.toml \
		-o requirements-torch.lock

bench: setup ## measures against bare engines; prints JSON lines
	@$(VENV_BIN)/python -m bench $(ARGUMENTS)

quality: setup ## reads the larger test data and scores it against goals and other systems
	@$(VENV_BIN)/python -m bench.quality $(ARGUMENTS)

clean: ## removes what setup and the tools made here (not the user's cache, not a stack's home)
	chmod -R u+w .cache 2>/dev/null || true
	rm -rf .venv .cache build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
