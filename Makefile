# Python to build the virtual environment with, and where that environment goes.
PYTHON ?= python3
VENV ?= .venv
# Where the demo writes its results, and how many processes run the tests.
WORKDIR ?= runs/demo
JOBS ?= 2

BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
LOCK_VENV := $(VENV)-lock

CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
  echo 'error: needs Python 3.11 or newer, but has $(PYTHON); try: make PYTHON=python3.12' >&2; \
  exit 1; }

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Targets that share an environment must not install into it at once.
.NOTPARALLEL:
.PHONY: help demo titles test test-slow lint format lock hooks clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "variables: PYTHON=$(PYTHON) VENV=$(VENV) WORKDIR=$(WORKDIR) JOBS=$(JOBS)"

demo: $(RUN_STAMP) ## Compare three policies on synthetic text, 3 seeds each
	$(BIN)/python -m experiments.compare --flagfile=experiments/configs/demo.flags --workdir=$(WORKDIR)

titles: $(RUN_STAMP) ## The titles study, both aggregations: make titles DATA=FILE.csv
	for each in coverage full; do \
	  $(BIN)/python -m experiments.compare --flagfile=experiments/configs/titles.flags \
	    --data_path=$(DATA) --aggregation=$$each --workdir=runs/titles_$$each || exit; done

test: lint ## Lint, check types, run the tests
	$(BIN)/python -m pytest -n $(JOBS)

test-slow: $(DEV_STAMP) ## Run the slow tests alone
	$(BIN)/python -m pytest -n $(JOBS) -m slow

lint: $(DEV_STAMP) ## Check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/basedpyright --pythonpath $(BIN)/python

format: $(DEV_STAMP) ## Format the code and repair what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

hooks: $(DEV_STAMP) ## Install the git hooks
	$(BIN)/pre-commit install

lock: ## Remake constraints.txt from the newest versions
	@$(CHECK_PYTHON)
	rm -rf $(LOCK_VENV)
	$(PYTHON) -m venv $(LOCK_VENV)
	$(LOCK_VENV)/bin/python -m pip install '.[test,plots,tracking,data]'
	{ echo '# Exact versions of everything that `pip install .[test,plots,tracking,data]` brings in,'; \
	  echo '# for `pip install -c constraints.txt`. Made by `make lock`; do not edit by hand.'; \
	  $(LOCK_VENV)/bin/python -m pip freeze --exclude hasa_jax --exclude pip \
	    --exclude setuptools --exclude wheel; } > constraints.txt.new
	mv constraints.txt.new constraints.txt
	rm -rf $(LOCK_VENV)

clean: ## Remove the environment and all caches; results under runs/ stay
	if [ -f $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi
	rm -rf $(LOCK_VENV) constraints.txt.new build dist *.egg-info
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find hasa_jax experiments tests -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is what venv installs last, so an environment that has it is whole.
$(BIN)/pip:
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install -e . -c constraints.txt
	touch $@

# The tests' environment can run the demo too.
$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install -e '.[test,plots,tracking,data]' -c constraints.txt
	touch $(RUN_STAMP) $@
