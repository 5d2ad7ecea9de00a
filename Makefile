# Everything runs through .venv/bin/python -m …: console scripts break where the folder's name has a space.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
NOTEBOOK := notebooks/01_start.ipynb
STATE := .make
OLD_CLIENT := llama-stack-client==0.3.5
NEW_CLIENT := llama-stack-client==0.7.5

.PHONY: help demo lab test unit fuzz lint types notebooks docs docs-check bench model-smoke clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | while IFS=$$'\t' read -r name text; do
	printf '  make %-12s %s\n' "$$name" "$$text"; done

demo: $(STATE)/weights ## install, run the first notebook on the embedded engine and print what its cells show
	@SQLITE_STORE_DIR="$$PWD/$(STATE)/demo" LLAMA_MAGICS_LIVE=0 $(PY) notebooks/show.py $(NOTEBOOK)
	echo
	echo "Next: 'make lab' opens this notebook in JupyterLab; change a cell and run it."

lab: $(STATE)/lab ## open the first notebook in JupyterLab
	@root=$$([ "$$(id -u)" = 0 ] && echo --allow-root || true)
	exec $(PY) -m jupyterlab $$root $(NOTEBOOK)

test: $(STATE)/test $(STATE)/weights ## all tests: unit, slow ones, notebooks, browser
	@.ci/chromium || true
	.ci/services || true
	$(PY) -m pytest --nbval tests notebooks || { echo "Next: mend what failed; one test alone: $(PY) -m pytest PATH::NAME"; exit 1; }
	echo "Next: 'make lint types' checks the code, 'make bench' measures it, 'make lab' opens the tutorial."

unit: $(STATE)/test ## the quick tests only
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" tests

fuzz: $(STATE)/test ## 20,000 calls made from the served OpenAPI document; none may be a fault of the server
	@FUZZ_CALLS=20000 $(PY) -m pytest -q tests/fuzz || { echo "Next: mend what failed; FUZZ_SEED=$${FUZZ_SEED:-20} makes the same calls again."; exit 1; }

lint: $(STATE)/test ## ruff: rules and format
	@$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(STATE)/test ## mypy, strict
	@$(PY) -m mypy

notebooks: $(STATE)/test $(STATE)/weights ## run the notebooks anew and keep their outputs
	@for file in notebooks/*.ipynb; do
	SQLITE_STORE_DIR="$$PWD/$(STATE)/notebooks" LLAMA_MAGICS_LIVE=0 $(PY) notebooks/show.py --save "$$file"; done

docs: $(STATE)/test ## write the generated reference pages anew
	@$(PY) docs/generate.py

docs-check: $(STATE)/test ## fail where a generated page is out of date
	@$(PY) docs/generate.py --check

bench: $(STATE)/test ## measure speed and memory, each figure beside its floor
	@$(PY) -m benchmarks

model-smoke: $(STATE)/model ## train a tiny model for seconds and check export and parity
	@$(PY) -m models.smoke

clean: ## remove the virtual environment and everything built
	@rm -rf .venv $(STATE) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STATE)/venv:
	@mkdir -p $(STATE)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv || { echo "No virtual environment could be made; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	touch $@

$(STATE)/lab: $(STATE)/venv pyproject.toml
	@echo "Installing (about a minute, once) …"
	$(PIP) install -qq -e '.[server,lab,openai]'
	touch $@

$(STATE)/test: $(STATE)/lab
	@echo "Installing what the tests need …"
	$(PIP) install -qq -e '.[test]'
	$(PIP) install -qq --no-deps --ignore-requires-python '$(OLD_CLIENT)'
	rm -rf $(STATE)/new-client  # beside it, for the tests that load it in a process of its own
	$(PIP) install -qq --no-deps --ignore-requires-python --target $(STATE)/new-client '$(NEW_CLIENT)'
	touch $@

$(STATE)/model: $(STATE)/test
	@$(PIP) install -qq -e '.[model]'
	touch $@

$(STATE)/weights: $(STATE)/lab
	@if $(PY) -m stack_core pull minilm; then touch $@
	else echo "The embedding weights could not be fetched; what needs them says so, and everything else works."; fi
