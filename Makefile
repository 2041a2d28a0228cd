# make demo   set up, compare schedulers on the embedded default trace, draw the report
# make test   set up, lint, types, tests
# make bench  engine time beside a plain-Python baseline
# make docs   the documentation site, in site/

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
WORKERS ?= 2

.PHONY: demo test lint types check bench docs clean

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "apportion needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(VENV)/.ready
	$(BIN)/apportion compare "synthetic:venus?jobs=20000&load=1.05&seed=1" fifo sjf qssf srtf --out $(DEMO)
	@echo "open $(DEMO)/report.html"

test: lint types check

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready
	$(BIN)/mypy

check: $(VENV)/.ready
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

bench: $(VENV)/.ready
	$(BIN)/python -m bench

docs: $(VENV)/.ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"

clean:
	rm -rf $(VENV) site demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
