# One recipe file: the same commands for people, scripts and CI. `make` alone lists them.

PYTHON ?= python3
MODELS ?= models
ROUNDS ?= 2000
MINUTES ?= 3
UV ?= uv

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
STREAMS := .venv-streams
STREAMS_STAMP := $(STREAMS)/.installed
FLINK := .venv-flink
FLINK_STAMP := $(FLINK)/.installed
SPARK := .venv-spark
SPARK_STAMP := $(SPARK)/.installed
# Hashes make the lock binding; wheels alone, so that no compiler is needed and nothing runs at install time.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCKED := $(INSTALL) --require-hashes --only-binary :all: --requirement
CODE := src tests benchmarks
# A numba-compiled function is cached beside its source, so two workers share what one has compiled.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help venv demo test conformance bench quality models lint format crash crash-kafka chaos lock clean

help:  ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(STAMP)  ## Set up .venv from locked versions, for commands and tests

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("counterfoil needs Python 3.11 or newer; say which: make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV) (a minute or two the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(LOCKED) requirements/dev.txt
	@$(INSTALL) --no-build-isolation --no-deps --editable .
	@$(BIN)/python -m compileall -q src  # a start where nothing may be written beside the source is 0.2 s shorter
	@touch $@

$(BENCH_STAMP): $(STAMP) requirements/bench.txt
	@$(LOCKED) requirements/bench.txt
	@touch $@

# Other stream processors ask for older libraries than ours.
$(STREAMS_STAMP): requirements/streams.txt
	@test -x $(STREAMS)/bin/python || $(PYTHON) -m venv $(STREAMS)
	@$(STREAMS)/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --only-binary :all: --requirement requirements/streams.txt
	@touch $@

# What engines need comes as source in part: those packages alone are built, with locked tools and nothing fetched.
$(SPARK): $(SPARK_STAMP)

# pyspark is served as source alone; its set-up needs setuptools, which comes with a new environment's pip.
$(SPARK_STAMP): requirements/spark.txt pyproject.toml
	@echo "Setting up $(SPARK) (two minutes the first time)"
	@test -x $(SPARK)/bin/python || $(PYTHON) -m venv $(SPARK)
	@$(SPARK)/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --only-binary :all: --no-binary pyspark --requirement requirements/spark.txt
	@$(SPARK)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

$(FLINK): $(FLINK_STAMP)

$(FLINK_STAMP): requirements/flink.txt requirements/sdist.txt pyproject.toml
	@echo "Setting up $(FLINK) (a minute or two the first time)"
	@test -x $(FLINK)/bin/python || $(PYTHON) -m venv $(FLINK)
	@$(FLINK)/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes --only-binary :all: --requirement requirements/sdist.txt
	@$(FLINK)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation \
		--require-hashes --only-binary :all: --no-binary crcmod,dill,docopt,hdfs --requirement requirements/flink.txt
	@$(FLINK)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: venv  ## Watch generated payments being decided, live in the terminal
	@$(BIN)/counterfoil demo

test: venv $(SPARK_STAMP) $(FLINK_STAMP)  ## Run all tests, with branch coverage
	@$(PYTEST) --cov --cov-report=term

bench: $(BENCH_STAMP) $(STREAMS_STAMP)  ## Measure every number that README states, and print its table
	@$(BIN)/python -m benchmarks.run

quality: venv  ## Run public protocols for cards (DATA=FOLDER) and laundering
	@$(BIN)/python -m benchmarks.quality $(if $(DATA),--data $(DATA))

models: venv  ## Train what is built in, into the registry MODELS (models)
	@$(BIN)/python -m benchmarks.quality.builtin --registry $(MODELS)

lint: venv  ## Check style, format, types and the direction of imports
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports

format: venv  ## Put the code into its one format
	@$(BIN)/ruff check --fix --exit-zero --select I $(CODE)
	@$(BIN)/ruff format $(CODE)

conformance: venv $(SPARK_STAMP) $(FLINK_STAMP)  ## Compare each runtime's decisions with the local one's
	@$(BIN)/python -m tests.conformance

crash-kafka: venv  ## Kill runs between topics ROUNDS times, compare the topics
	@$(BIN)/python -m tests.crash.kafka_campaign --rounds $(ROUNDS)

crash: venv  ## Kill the detector ROUNDS times, compare the decision logs
	@$(BIN)/python -m tests.crash.campaign --rounds $(ROUNDS)

chaos: venv  ## Disturb runs between topics and their broker for MINUTES
	@$(BIN)/python -m tests.integration.chaos --minutes $(MINUTES)

lock:  ## Renew the lock files from pyproject.toml (needs uv)
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--custom-compile-command "make lock" --extra kafka --extra models --extra sql --group dev pyproject.toml --output-file requirements/dev.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--custom-compile-command "make lock" --constraints requirements/dev.txt --group bench pyproject.toml \
		--output-file requirements/bench.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--custom-compile-command "make lock" --group streams pyproject.toml --output-file requirements/streams.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--custom-compile-command "make lock" --group pyproject.toml:sdist --output-file requirements/sdist.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--custom-compile-command "make lock" --extra kafka --extra models --extra spark --group build pyproject.toml \
		--output-file requirements/spark.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
		--custom-compile-command "make lock" --extra kafka --extra models --extra flink --group build pyproject.toml \
		--output-file requirements/flink.txt

clean:  ## Remove everything that make and the tests have made
	rm -rf $(VENV) $(STREAMS) $(FLINK) $(SPARK) build dist .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
