# Python to build the virtual environment with, and where that environment goes.
PYTHON ?= python3
VENV ?= .venv
# Where the demo writes its results, and how many processes run the tests.
WORKDIR ?= runs/demo
JOBS ?= 2
# Suite of the benchmark: small or full.
SUITE ?= small
# Configurations of the studies: fiarse_four, fiarse_five or fiarse_four_full; heterofl or heterofl_full.
FIARSE ?= fiarse_four
HETEROFL ?= heterofl
# Blocks below ScaleFL's early exits (the published shares of the depth), and widths at the four exits
# with which its sizes come near the others' in parameters: of five sizes, and of four.
SCALEFL_EXITS ?= 4,6,7
ifeq ($(FIARSE),fiarse_five)
SCALEFL_WIDTHS ?= 0.79,0.79,0.79,1
SCALEFL_LEVELS ?= 1,0.64,0.36,0.16,0.04
endif
SCALEFL_WIDTHS ?= 0.5,0.5,0.65,1
SCALEFL_LEVELS ?= 1,0.25,0.0625,0.015625

BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed-run
STUDY_STAMP := $(VENV)/.installed-study
DEV_STAMP := $(VENV)/.installed-dev
SITE_STAMP := $(VENV)/.installed-site
LOCK_VENV := $(VENV)-lock
LOCKED := test,plots,tracking,wandb,mlflow,data,docs,release
OLDEST_VENV := $(VENV)-oldest
# What `test-oldest` runs: what touches JAX, flax, optax, orbax and the command line most.
OLDEST_TESTS := tests/supernet tests/server tests/contracts/test_policies.py \
  tests/contracts/test_objectives.py tests/simulation/test_algorithm.py \
  tests/simulation/test_checkpoint.py tests/simulation/test_deploy.py \
  tests/experiments/test_front_doors.py tests/experiments/test_usage.py

CHECK_PYTHON = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
  echo 'error: needs Python 3.11 or newer, but has $(PYTHON); try: make PYTHON=python3.12' >&2; \
  exit 1; }

# compare,CONFIG,FOLDER OF THE DATA,WORKDIR
compare = $(BIN)/python -m experiments.compare --flagfile=experiments/configs/$(1).flags \
  --data_dir=$(DATA)/$(2) --workdir=runs/$(3)
# by_size,FOLDERS OF THE STUDY
by_size = $(BIN)/python -m experiments.by_size --workdir=$(subst $(SPACE),$(COMMA),$(foreach \
  each,$(1),runs/$(FIARSE)/$(each)))
COMMA := ,
SPACE := $(subst ,, )

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Targets that share an environment must not install into it at once.
.NOTPARALLEL:
.PHONY: help demo testbed testbed_long titles titles_settled methods hostile ag_news fiarse \
  fiarse_ablations heterofl cross_domain benchmark rebuild test test-slow test-oldest site package lint format lock hooks clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "variables: PYTHON=$(PYTHON) VENV=$(VENV) WORKDIR=$(WORKDIR) JOBS=$(JOBS)"

demo: $(RUN_STAMP) ## Compare three policies where the score is right by construction, 8 seeds each
	$(BIN)/python -m experiments.compare --flagfile=experiments/configs/demo.flags --workdir=$(WORKDIR)

testbed: $(STUDY_STAMP) ## When does each policy win? Nine cells where the truth is known
	$(BIN)/python -m experiments.testbed --flagfile=experiments/configs/testbed.flags --workdir=runs/testbed

testbed_long: $(STUDY_STAMP) ## The same with 30 rounds
	$(BIN)/python -m experiments.testbed --flagfile=experiments/configs/testbed_long.flags \
	  --workdir=runs/testbed_long

titles: $(RUN_STAMP) ## The titles study, both aggregations: make titles DATA=FILE.csv
	for each in coverage full; do \
	  $(BIN)/python -m experiments.compare --flagfile=experiments/configs/titles.flags \
	    --data_path=$(DATA) --aggregation=$$each --workdir=runs/titles_$$each || exit; done

titles_settled: $(STUDY_STAMP) ## Heterogeneity, size or cheapness: make titles_settled DATA=FILE.csv
	for each in coverage full; do \
	  $(BIN)/python -m experiments.compare --flagfile=experiments/configs/titles_settled.flags \
	    --data_path=$(DATA) --aggregation=$$each --workdir=runs/titles_settled/$$each || exit; \
	  $(BIN)/python -m experiments.plots --workdir=runs/titles_settled/$$each || exit; done
	$(BIN)/python -m experiments.hypotheses \
	  --workdir=runs/titles_settled/coverage,runs/titles_settled/full

methods: $(RUN_STAMP) ## Published methods at one budget, LSTM and Transformer: make methods DATA=FILE.csv
	for each in lstm:params:0.66 lstm:macs:0.47 transformer:params:0.5 transformer:macs:0.4; do \
	  model=$${each%%:*} budget=$${each##*:} unit=$${each#*:}; unit=$${unit%:*}; \
	  $(BIN)/python -m experiments.compare --flagfile=experiments/configs/methods_$$model.flags \
	    --data_path=$(DATA) --budget_unit=$$unit --budget=$$budget \
	    --workdir=runs/methods_$${model}_$$unit || exit; \
	  $(BIN)/python -m experiments.tables --workdir=runs/methods_$${model}_$$unit --reference=hasa \
	    || exit; done

hostile: $(STUDY_STAMP) ## A fifth of the clients hostile: make hostile DATA=FOLDER, which has optdigits
	for scale in 0 1 4 10; do \
	  hostile="--corrupted=0.2 --corruption_scale=$$scale"; test $$scale != 0 || hostile=; \
	  for means in : _clip:--methods=fedavg\ --robust=norm_clip; do \
	    $(call compare,hostile_digits,optdigits,hostile_digits_$$scale$${means%%:*}) \
	      $$hostile $${means#*:} || exit; done; done

ag_news: $(STUDY_STAMP) ## Kinds of news on a Transformer: make ag_news DATA=FOLDER, which has ag_news
	$(call compare,ag_news,ag_news,ag_news)

fiarse: $(STUDY_STAMP) ## FIARSE's study: make fiarse DATA=FOLDER, which has cifar10
	$(call compare,$(FIARSE),cifar10,$(FIARSE)/structured) --methods=heterofl:levels,fedrolex:levels \
	  --objective=cross_entropy --nolabel_split --scaler=none
	$(call compare,$(FIARSE),cifar10,$(FIARSE)/scalefl) --methods=scalefl:levels \
	  --exits_after=$(SCALEFL_EXITS) --exit_widths=$(SCALEFL_WIDTHS) --eval_levels=$(SCALEFL_LEVELS)
	$(call compare,$(FIARSE),cifar10,$(FIARSE)/fiarse) --methods=fiarse:levels
	$(call by_size,structured scalefl fiarse)

fiarse_ablations: $(STUDY_STAMP) ## FIARSE's ablations, of 50 rounds
	$(call compare,$(FIARSE),cifar10,$(FIARSE)/ablations/fiarse) --methods=fiarse:levels --num_rounds=50
	$(call compare,$(FIARSE),cifar10,$(FIARSE)/ablations/fiarse_by_stage) --methods=fiarse:levels \
	  --num_rounds=50 --threshold=stage
	$(call compare,$(FIARSE),cifar10,$(FIARSE)/ablations/pruning_greedy) --methods=fiarse:levels \
	  --num_rounds=50 --extraction=pruning_greedy
	$(call by_size,ablations/fiarse ablations/fiarse_by_stage ablations/pruning_greedy)

heterofl: $(STUDY_STAMP) ## HeteroFL's study: make heterofl DATA=FOLDER, which has cifar10
	for partition in iid shards; do \
	  for mix in a:1:1 e:0.0625:1 a-e:1:1,0.0625 a-b-c-d-e:1:1,0.5,0.25,0.125,0.0625; do \
	    width=$${mix#*:}; \
	    $(call compare,$(HETEROFL),cifar10,$(HETEROFL)/$$partition/$${mix%%:*}) \
	      --partition=$$partition --supernet_width=$${width%%:*} --levels=$${mix##*:} || exit; done; \
	  $(call compare,$(HETEROFL),cifar10,$(HETEROFL)/$$partition/a-b-c-d-e-fix) \
	    --partition=$$partition --levels=1,0.5,0.25,0.125,0.0625 --nodynamic || exit; \
	  $(BIN)/python -m experiments.by_size \
	    --workdir=$$(printf "runs/$(HETEROFL)/$$partition/%s," a a-b-c-d-e a-b-c-d-e-fix a-e e) \
	    || exit; done

cross_domain: $(STUDY_STAMP) ## HASA across domains: make cross_domain DATA=FOLDER, which has all of them
	for study in digits:. photos:pacs; do \
	  name=cross_domain_$${study%%:*}; \
	  run="$(BIN)/python -m experiments.compare --flagfile=experiments/configs/$$name.flags \
	    --data_dir=$(DATA)/$${study#*:}"; \
	  $$run --policies=uniform --budget=0.125 --workdir=runs/$$name/narrow || exit; \
	  $$run --policies=uniform --budget=1 --workdir=runs/$$name/wide || exit; \
	  $(BIN)/python -m experiments.need --flagfile=experiments/configs/$$name.flags \
	    --data_dir=$(DATA)/$${study#*:} --workdir=runs/$$name/narrow,runs/$$name/wide || exit; \
	  $$run --score_path=runs/$$name/wide/need.csv --workdir=runs/$$name/policies || exit; done

benchmark: $(STUDY_STAMP) ## Accuracy on fixed tasks: make benchmark DATA=FOLDER SUITE=small
	$(BIN)/python -m experiments.benchmark --suite=$(SUITE) --data_dir=$(DATA) \
	  --workdir=runs/benchmark_$(SUITE)

rebuild: $(DEV_STAMP) ## Make the tables and pictures of README, docs and committed results again
	$(BIN)/python -m experiments.rebuild

test: lint ## Lint, check types, run the tests
	$(BIN)/python -m pytest -n $(JOBS) --dist=loadfile

test-slow: $(DEV_STAMP) ## Run only the slow tests
	$(BIN)/python -m pytest -n $(JOBS) --dist=loadfile -m slow

# An older orbax looks at the clock less often than the tests of its clock count on.
test-oldest: ## Run a part of the tests with the oldest versions, of constraints-oldest.txt
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(OLDEST_VENV)
	$(OLDEST_VENV)/bin/python -m pip install -e . pytest hypothesis -c constraints-oldest.txt
	$(OLDEST_VENV)/bin/python -m pytest $(OLDEST_TESTS) -k 'not clock_that_is_set'

site: $(SITE_STAMP) ## Build the documentation site in build/site; its notebooks run
	JAX_PLATFORMS=cpu JAX_COMPILATION_CACHE_DIR=build/programs \
	  JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
	  $(BIN)/python -m sphinx -E -W --keep-going -b html docs build/site

package: ## Build the wheel and the sdist in dist/, check them, and try the wheel in a clean environment
	@$(CHECK_PYTHON)
	.ci/package $(PYTHON)

lint: $(DEV_STAMP) ## Check style, format, types and shell
	$(BIN)/ruff check
	$(BIN)/shellcheck experiments/launch/*.sh .ci/run .ci/package
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
	$(LOCK_VENV)/bin/python -m pip install '.[$(LOCKED)]'
	{ echo '# Exact versions of everything that `pip install .[$(LOCKED)]` brings in,'; \
	  echo '# for `pip install -c constraints.txt`. Made by `make lock`; do not edit by hand.'; \
	  $(LOCK_VENV)/bin/python -m pip freeze --exclude hasa_jax --exclude pip \
	    --exclude setuptools --exclude wheel; } > constraints.txt.new
	mv constraints.txt.new constraints.txt
	rm -rf $(LOCK_VENV)

clean: ## Remove the environment and all caches; results under runs/ stay
	if [ -f $(VENV)/pyvenv.cfg ]; then rm -rf $(VENV); fi
	rm -rf $(LOCK_VENV) $(OLDEST_VENV) constraints.txt.new build dist *.egg-info
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find hasa_jax experiments tests -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is what venv installs last, so an environment that has it is complete.
$(BIN)/pip:
	@$(CHECK_PYTHON)
	$(PYTHON) -m venv $(VENV)

$(RUN_STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install -e . -c constraints.txt
	touch $@

$(STUDY_STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install -e '.[data,plots]' -c constraints.txt
	touch $(RUN_STAMP) $@

$(SITE_STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install -e '.[docs]' -c constraints.txt
	touch $@

# The tests' environment can run the demo too.
$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/pip
	$(BIN)/python -m pip install -e '.[test,plots,tracking,wandb,mlflow,data]' -c constraints.txt
	touch $(RUN_STAMP) $@
