# Everything this project does, from a clean clone. Needs Python 3.10 or later, and make.
#
#   make demo     watch records arrive in a warehouse
#   make test     run the suite

PYTHON ?= python3
BIN := .venv/bin
# Split between the machine's cores; a file's tests stay together, and so share their fixtures.
PYTEST_ARGS ?= -n auto --dist loadfile

.PHONY: help demo test bench lint format types settings clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .meltano/installed ## Sync a local Zoho CRM into DuckDB, twice, and check every value
	$(BIN)/python -m tests.demo

test: .meltano/installed ## Run the whole test suite
	$(BIN)/python -m pytest $(PYTEST_ARGS)

bench: .venv/installed ## Measure how fast it is, which takes a quarter of an hour
	$(BIN)/python -m benchmarks

lint: .venv/installed ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: .venv/installed ## Fix style and formatting
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/installed ## Check types
	$(BIN)/mypy

settings: .venv/installed ## Write the tap's settings into meltano.yml, meltano-plugin.yml and README
	$(BIN)/python -m tests.stated_settings

clean: ## Remove everything that was installed or generated, but not .env and *.duckdb
	rm -rf .venv .meltano .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The development environment
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	# uv, since the pip of Python 3.10 looks for a set of versions that fit for a quarter of an hour.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[dev]'
	touch $@

# The Meltano plugins: this tap and the targets, each in an environment of its own
.meltano/installed: meltano.yml .venv/installed $(wildcard loaders/*/*.toml loaders/*/*/*.py)
	$(BIN)/meltano install
	touch $@
