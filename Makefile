# Everything a person or a CI calls. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
DATA ?=
TARGET ?=
# As they were typed: neither make nor a shell reads a sign in them.
override DATA := $(value DATA)
override TARGET := $(value TARGET)
export DATA TARGET
MODEL ?= CancerModel
PORT ?= 5001
ARGS ?=
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run smoke test test-fast lint types ui serve spark-test notebook docker-test test-oldest env env-dev docker-lint bench-overhead bench-load bench-pruning bench-pipeline bench-memory bench-search bench-growth bench-prediction bench-serving bench-batch bench-honesty bench-faults prune clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

run: env ## The main job; DATA=table.csv TARGET=column takes your table, ARGS="--n-trials 10" any parameter
	@python main.py $${DATA:+--data="$$DATA"} $${TARGET:+--target="$$TARGET"} $(ARGS)

SMOKE = store=$$(mktemp -d) && trap 'rm -rf "$$store"' EXIT && cd "$$store" \
	&& python '$(CURDIR)/main.py' --n-trials 2 --folds 2 && python '$(CURDIR)/main.py' --data diabetes --n-trials 2 --folds 2

smoke: env ## The whole chain with tiny trial counts, in a store of its own that is thrown away
	@$(SMOKE)

test: env-dev ## All tests but those of the containers
	@pytest -q -n auto --dist loadgroup -m 'not engine'

test-fast: env-dev ## The tests of the pure functions, under a minute
	@pytest -q -m 'not store and not project'

test-oldest: .venv-oldest/.done ## All tests and the smoke run on Python 3.10 with requirements-oldest.txt
	@export PATH='$(CURDIR)/.venv-oldest/bin':"$$PATH" && pytest -q -n auto --dist loadgroup -m 'not engine' && $(SMOKE)

lint: env-dev docker-lint ## Style of code and Dockerfiles
	@ruff check . && ruff format --check .

types: env-dev ## Types
	@mypy

docker-lint: env-dev
	@hadolint docker/Dockerfile docker/*/Dockerfile
	@if command -v docker >/dev/null && docker compose version >/dev/null 2>&1; \
	then docker compose -f docker/docker-compose.yml --profile '*' config -q; else echo "docker compose is not installed: compose file not checked"; fi

docker-test: env-dev ## The images built and every service run for real; needs a Docker engine
	@pytest -q -rs tests/test_docker.py

ui: env ## The MLflow UI on http://127.0.0.1:5000
	@mlflow ui

# No telemetry: told to stop, MLflow would wait for it where it has no way out. One heap, of the C library, for all threads:
# with more of them, what large requests took stays with the process.
serve: env ## The champion over REST on http://127.0.0.1:5001; MODEL=NAME serves another one, PORT=8080 elsewhere, ARGS="--max-body 64" any option
	@TREELINE_MODEL='$(MODEL)' MLFLOW_DISABLE_TELEMETRY=true MALLOC_ARENA_MAX=1 ARROW_DEFAULT_MEMORY_POOL=system \
	exec python serve.py --port '$(PORT)' $(ARGS)

spark-test: env-dev ## The test of examples/spark_scores.py, on a local Spark that it installs; needs Java 17
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements-spark.txt
	@pytest -q tests/test_spark.py

notebook: env-dev ## Build notebooks/modeling.ipynb from the .py beside it and execute it; TREELINE_TRIALS=20 searches longer
	@jupytext --quiet --to ipynb notebooks/modeling.py
	@jupyter execute --inplace notebooks/modeling.ipynb

env: $(BIN)/.runtime
env-dev: $(BIN)/.dev

$(BIN)/.runtime: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Treeline needs Python 3.10 to 3.13; $(PYTHON) is $$($(PYTHON) -V). Name another: make PYTHON=python3.12 run" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv || { echo "Python's venv module is missing: on Debian and Ubuntu, apt-get install python3-venv" >&2; rm -rf .venv; exit 1; }
	@echo "Installing the runtime into .venv (a few minutes, once) ..."
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements.txt
	@touch $@

$(BIN)/.dev: requirements-dev.txt $(BIN)/.runtime
	@echo "Installing the tools for tests and lint into .venv ..."
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv-oldest/.done: requirements-oldest.txt
	@command -v uv >/dev/null || $(MAKE) env
	@rm -rf .venv-oldest && uv venv -q --seed --python 3.10 .venv-oldest
	@echo "Installing the oldest versions into .venv-oldest ..."
	@uv pip install -q --python .venv-oldest/bin/python -r requirements-oldest.txt
# Complete as it is, where a test calls it .venv.
	@touch .venv-oldest/bin/.runtime .venv-oldest/bin/.dev $@

bench-overhead: env ## What tracking costs: our study against a bare Optuna and xgb.cv loop
	@cd benchmarks && python overhead.py

bench-load: env ## The same with another process busy on every core
	@cd benchmarks && python overhead.py --rows 50000 --busy

bench-pruning: env ## How soon our study reaches the bare loop's final score
	@cd benchmarks && python pruning.py

bench-pipeline: env ## The main job by mlflow run, against the tutorial way
	@cd benchmarks && python pipeline.py

bench-memory: env ## Peak memory of a study on 1,000,000 x 30, against the bare loop
	@cd benchmarks && python memory.py

bench-search: env-dev ## 60 s of search against XGBoost's defaults, Optuna, halving and FLAML: 80 minutes
	@test -x .venv-rivals/bin/python || uv venv -q --python .venv/bin/python .venv-rivals
	@uv pip install -q --python .venv-rivals/bin/python -r benchmarks/requirements.txt
	@cd benchmarks && python search.py --python ../.venv-rivals/bin/python $(ARGS)

bench-prediction: env ## What one prediction costs, and a thousand, and a million
	@cd benchmarks && python prediction.py

bench-serving: env ## make serve against a bare FastAPI handler, then 32 clients for five minutes
	@cd benchmarks && python serving.py $(ARGS)

bench-batch: env ## Peak memory and speed of batch-inference on 5,000,000 rows
	@cd benchmarks && python batch.py

bench-growth: env ## What a study costs as rows and trials grow; draws benchmarks/growth.png
	@cd benchmarks && python growth.py

bench-honesty: env ## Every kind of figure against a known truth, by simulation; ARGS="--quick" for a look
	@$(BIN)/pip install -q --disable-pip-version-check -r benchmarks/requirements-honesty.txt
	@cd benchmarks && OMP_NUM_THREADS=1 python honesty.py $(ARGS)

bench-faults: env-dev ## Kills, stops, full disks, several at once, bad inputs and requests; ARGS="--full" for hours of it
	@cd benchmarks && python faults.py $(ARGS)

prune: env ## List runs in the trash, leftover environments and the like with their sizes; delete them after a yes, or YES=1
	@python prune.py $(if $(YES),--yes) $(ARGS)

clean: ## Remove the environment and caches; the experiment store stays
	@rm -rf .venv .venv-rivals .venv-oldest .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
