# Everything this project does, from a clean clone. Needs Python 3.10 or later, and make.
#
#   make demo     watch records arrive in a warehouse
#   make test     run the suite

PYTHON ?= python3
BIN := .venv/bin
# Installed modules are compiled, as pip does. Where Python may not write files, each run would
# compile the Singer SDK and SQLAlchemy again, for longer than all else that it does at its start.
export UV_COMPILE_BYTECODE := 1
# Split between the machine's cores; a file's tests stay together, and so share their fixtures.
PYTEST_ARGS ?= -n auto --dist loadfile --no-loadscope-reorder
# The stories that `make simulate` plays, such as 17, 0-999 or 3,5,10-20
SEEDS ?= 0-199
# How many organisations `make fleet` has
ORGANISATIONS ?= 100

# The oldest Python that the tap supports if it is here, else the one that there is
LOWEST_PYTHON ?= $(shell PYENV_VERSION=3.10 python3.10 -c 'import sys; print(sys.executable)' \
	2>/dev/null || echo $(PYTHON))
# Where packages are not the newest that pyproject.toml allows, there is no Meltano, no warehouse and
# no S3 server.
LOWEST_TESTS ?= tests --ignore=tests/meltano --ignore=tests/warehouses \
	--ignore=tests/repository/test_words.py --deselect=tests/emit/test_batches.py::test_files_on_s3_hold_every_record

.PHONY: help demo test test-lowest test-prerelease test-airflow simulate fleet bench docs lint prose configuration pictures format types settings dist clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .meltano/installed ## Sync a local Zoho CRM into DuckDB, twice, and check every value
	$(BIN)/python -m tools.demo

test: .meltano/installed ## Run the whole test suite
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-lowest: .venv-lowest/installed ## Run it at the lowest versions of all that the tap needs
	.venv-lowest/bin/python -m pytest $(PYTEST_ARGS) $(LOWEST_TESTS)

test-prerelease: .venv-prerelease/installed ## Run it with the newest pre-release of the Singer SDK
	.venv-prerelease/bin/python -m pytest $(PYTEST_ARGS) $(LOWEST_TESTS)

test-airflow: .meltano/installed .venv-airflow/installed ## Run a fleet of organisations on a real Airflow
	$(BIN)/python -m pytest deploy/airflow/tests

simulate: .venv/installed ## Play stories of the simulation, those of SEEDS
	$(BIN)/python -m tests.simulation $(SEEDS)

fleet: .meltano/installed .venv-airflow/installed ## Sync 100 organisations by Airflow, with kills, which takes half an hour
	$(BIN)/python -m tools.fleet --organisations $(ORGANISATIONS)

bench: .meltano/installed ## Measure how fast it is, which takes an hour
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.warehouses

lint: .venv/installed ## Check style, formatting, words, and who imports whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache
	$(MAKE) --silent configuration
	$(MAKE) --silent prose

configuration: .venv/installed ## Check workflow files, issue forms and Meltano's files by their schemas
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms \
		$(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(BIN)/check-jsonschema --builtin-schema vendor.meltano meltano.yml examples/meltano/meltano.yml
	$(BIN)/pre-commit validate-config

prose: .venv/installed ## Check words, in the files of PROSE or in all
	git ls-files -z -- $(PROSE) | xargs -0 $(BIN)/codespell

docs: .venv/installed ## Build the documentation into build/docs; a dead link or a lost page is an error
	$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet -b html docs build/docs

pictures: .venv/installed ## Take the documentation's pictures again, which needs Chromium
	$(BIN)/python -m tools.pictures

format: .venv/installed ## Fix style and formatting
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/installed ## Check types
	$(BIN)/mypy

settings: .venv/installed ## Write the tap's settings into meltano.yml, meltano-plugin.yml, examples and docs
	$(BIN)/python -m tools.stated_settings

dist: .venv/installed ## Build what is released, and try it in an environment of its own
	rm -rf dist .venv-dist
	$(BIN)/uv build --quiet
	$(BIN)/uv tool run --quiet twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/uv venv --quiet --python $(PYTHON) .venv-dist
	$(BIN)/uv pip install --quiet --python .venv-dist/bin/python dist/*.whl
	cd dist && ../.venv-dist/bin/tap-zoho-bulk --version
	cd dist && ../.venv-dist/bin/tap-zoho-bulk --about --format=json >/dev/null

clean: ## Remove everything that was installed or generated, but not .env and *.duckdb
	rm -rf .venv .venv-airflow .venv-lowest .venv-prerelease .venv-dist .meltano .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The development environment
.venv/installed: pyproject.toml local-zoho-crm/pyproject.toml deploy/fleet/pyproject.toml
	$(PYTHON) -m venv .venv
	# uv, since the pip of Python 3.10 looks for a set of versions that fit for a quarter of an hour.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --group dev \
		--editable '.[parquet,s3]' --editable local-zoho-crm --editable deploy/fleet
	touch $@

# All that the tap and its tests need, in the lowest versions that pyproject.toml allows
.venv-lowest/installed: pyproject.toml .venv/installed
	$(BIN)/uv venv --quiet --clear --no-python-downloads --python $(LOWEST_PYTHON) .venv-lowest
	$(BIN)/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct \
		--group test --editable '.[parquet,s3]' --editable local-zoho-crm
	touch $@

# The newest versions, and of the Singer SDK the newest that there is, whatever pyproject.toml allows.
# It must be resolved each time, since it has no version to tell by.
.PHONY: .venv-prerelease/installed
.venv-prerelease/installed: .venv/installed
	$(BIN)/uv venv --quiet --clear --no-python-downloads --python $(PYTHON) .venv-prerelease
	echo 'singer-sdk[msgspec,s3,testing]>=0.54' >.venv-prerelease/override.txt
	$(BIN)/uv pip install --quiet --python .venv-prerelease/bin/python \
		--override .venv-prerelease/override.txt --prerelease-package singer-sdk=allow \
		--group test --editable '.[parquet,s3]' --editable local-zoho-crm
	.venv-prerelease/bin/python -c \
		'from importlib.metadata import version; print("singer-sdk", version("singer-sdk"))'

# Airflow, which runs a fleet, in the versions that it was tested with
.venv-airflow/installed: deploy/airflow/constraints.txt deploy/fleet/pyproject.toml .venv/installed
	$(BIN)/uv venv --quiet --clear --no-python-downloads --python $(BIN)/python .venv-airflow
	$(BIN)/uv pip install --quiet --python .venv-airflow/bin/python \
		--constraint deploy/airflow/constraints.txt 'apache-airflow[celery,postgres]' --editable deploy/fleet
	touch $@

# The Meltano plugins: this tap and the targets, each in an environment of its own
.meltano/installed: meltano.yml .venv/installed $(wildcard loaders/*/*.toml loaders/*/*/*.py)
	$(BIN)/meltano install
	touch $@
