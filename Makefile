# Needs Python 3.11 or later, make and pip access; no Java, no uv. `make` alone lists the targets.
PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.purchasecast-setup
# A machine that has a JDK keeps it; one that has none gets Java from pip with the other extras.
export UV_PROJECT_ENVIRONMENT := $(VENV)

# Small Spark jobs leave a core idle: two files of tests at a time, each process with a session of its own.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup environments check test test-all demo bench faults mutants docs clean

help: ## List what can be made
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Put the package and its tools into .venv (once)

$(STAMP): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "purchasecast needs Python 3.11 or later, and $(PYTHON) is older or does not run: try make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip --upgrade >/dev/null
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	@$(BIN)/uv sync --frozen --all-extras --group docs --inexact --quiet --python $(BIN)/python
	@touch $@

# Other environments, which tests of clusters and of the oldest Spark run in; versions as in uv.lock otherwise.
OLDEST_SPARK := 4.0.0
LOCKED := build/locked.txt

environments: build/executors/.made build/spark-oldest/.made ## Build what tests/cluster runs in

$(LOCKED): uv.lock | $(STAMP)
	@mkdir -p build
	@$(BIN)/uv export --frozen --all-extras --no-default-groups --no-emit-project --no-hashes --no-annotate --quiet \
	  --output-file $@ >/dev/null

build/executors/.made: $(LOCKED)
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/executors
	@$(BIN)/uv pip install --quiet --python build/executors/bin/python --constraint $(LOCKED) \
	  numpy pandas pyarrow scipy xgboost-cpu
	@touch $@

build/spark-oldest/.made: $(LOCKED) pyproject.toml Makefile
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/spark-oldest
	@sed '/^pyspark=/d; /^py4j=/d' $(LOCKED) >build/locked-but-spark.txt
	@$(BIN)/uv pip install --quiet --python build/spark-oldest/bin/python --constraint build/locked-but-spark.txt \
	  "pyspark==$(OLDEST_SPARK)" --editable ".[java,report,spark]"
	@touch $@

check: setup ## Lint, format, types, docstrings, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/numpydoc lint $$(git ls-files 'src/**/*.py')
	$(BIN)/lint-imports

test: check environments ## check, then the tests without Spark, those on Spark, and the documentation
	$(BIN)/pytest $(PARALLEL) -m "not spark and not slow and not site" --doctest-modules src/purchasecast tests
	$(BIN)/pytest $(PARALLEL) -m "spark and not slow"
	$(MAKE) docs GALLERY=0

test-all: check environments docs ## The same with the slow tests
	$(BIN)/pytest

demo: setup ## Run the main job on a generated shop; says where the report is
	$(BIN)/purchasecast demo --out demo

bench: setup ## Run the benchmarks, one script a question
	@$(BIN)/uv sync --frozen --all-extras --group bench --inexact --quiet --python $(BIN)/python
	@PURCHASECAST_BENCH=$$(mktemp -d); export PURCHASECAST_BENCH; trap 'rm -rf "$$PURCHASECAST_BENCH"' EXIT; \
	for script in benchmarks/[!_]*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

faults: setup ## Try kills, interrupts, damage and full disks, as docs/reliability.md promises (an hour)
	$(BIN)/python -m tests.faults

mutants: setup ## Change lines of the statistical and scoring modules; see that a test fails (half an hour, goes on where it stopped)
	$(BIN)/python -m tests.mutants

# The examples of the gallery train models for some minutes: `make test` builds the pages around them only.
GALLERY ?= 1

docs: setup ## Build the documentation site into site/, and check it
	rm -rf docs/reference/generated
	$(BIN)/sphinx-build -D plot_gallery=$(GALLERY) -W --keep-going -n -q -b html docs site
	$(BIN)/pytest -m site tests/docs

clean: ## Remove what a run leaves behind, .venv excepted
	rm -rf build dist demo site spark-warehouse metastore_db derby.log artifacts htmlcov .coverage
	rm -rf docs/gallery docs/reference/generated docs/reference/backreferences
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
