PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo quick test lint style types quick-tests all-tests bench soak claims comparators paper gpu-check launch-check image-check wheel wheel-check test-lowest docs clean

help: ## what there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 16

setup: $(VENV)/installed ## build .venv with everything that demo and test need

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: $(VENV)/installed demo/made ## render a data set, score it, print the leaderboard
	@$(BIN)/python -m jobs.evaluate conf/demo.yaml

demo/made: jobs/render_demo.py jobs/demo/dataset.py $(wildcard jobs/demo/world/*.py) masc_core/demo_encoder/model.safetensors | $(VENV)/installed
	@rm -rf demo/run
	@$(BIN)/python -m jobs.render_demo out=demo/images
	@$(BIN)/python -m jobs.pack manifest=demo/images/manifest.csv out=demo/shards shard_size=48 overwrite=true
	@touch $@

# A thread of torch a process: more would only wait for one another. Tests that start Ray or a server wait a
# good part of their time, so there is a process more than cores.
PROCESSES := $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 4 ? n + 1 : 4)))
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=$(PROCESSES)

quick: style ## lint, types, and the tests that start nothing and take no time
	@$(MAKE) --no-print-directory --jobs=2 types quick-tests

test: style ## lint, types and all tests
	@$(MAKE) --no-print-directory --jobs=2 types all-tests

lint: style types ## ruff and the type checker

style: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed
	$(BIN)/mypy

quick-tests: $(VENV)/installed
	$(PYTEST) --numprocesses=logical --quiet -m 'not services and not slow'

all-tests: $(VENV)/installed
	$(PYTEST)

bench: $(VENV)/installed ## the figures of speed and memory; about 40 minutes on 2 cores
	@$(BIN)/python -m tests.benchmarks

soak: $(VENV)/installed ## 25 minutes of runs in which workers, nodes, drivers and storage fail
	$(BIN)/python -m pytest -q --hypothesis-profile=search tests/pipeline/run/test_ledger.py
	SOAK=1 $(BIN)/python -m pytest -q tests/jobs/test_nights_killed.py
	MASC_INTERRUPTS=12 $(BIN)/python -m pytest -q tests/jobs/test_interrupts.py
	MASC_SCRIPTS=24 $(BIN)/python -m pytest -q --hypothesis-profile=search tests/pipeline/cluster/test_driver.py
	@$(BIN)/python -m tests.soak

gpu-check: $(VENV)/installed ## parity and speed on a machine with an NVIDIA GPU
	@$(BIN)/python -c 'import sys, torch; torch.cuda.is_available() or sys.exit("gpu-check: torch sees no CUDA device")'
	$(BIN)/python -m pytest -m gpu
	@$(BIN)/python -m tests.benchmarks 'only=[gpu]' out=bench-gpu.json

launch-check: $(VENV)/installed .venv-sky/installed ## recipes that need a place of their own: a real Slurm, a Ray cluster, SkyPilot; minutes
	MASC_LAUNCH_CHECK=1 MASC_SKY=.venv-sky/bin/python $(BIN)/python -m pytest -q tests/launch

# SkyPilot asks for other versions than Ray and us.
.venv-sky/installed:
	$(PYTHON) -m venv .venv-sky
	.venv-sky/bin/python -m pip install --quiet 'skypilot==0.14.1'
	@touch $@

image-check: $(VENV)/installed ## install as the image does, in a clean environment; minutes
	@$(BIN)/python -m tests.launch.dockerfile

claims: $(VENV)/installed ## what the demo's encoder can tell apart, on concepts it has not seen
	@$(BIN)/python -m tests.claims

comparators: $(VENV)/installed .venv-matchers/installed ## comparators against their authors' packages, each in an environment of its own; minutes, gigabytes; MASC_MAST3R=DIR is a checkout of MASt3R
	@$(BIN)/python -m tests.parity
	MASC_COMPARATORS=1 OMP_NUM_THREADS=1 .venv-matchers/bin/python -m pytest --quiet tests/masc_core/comparators

# What RoMa and MASt3R import beyond what we have, beside what we have: RoMa's package also asks for what it trains with.
.venv-matchers/installed: $(VENV)/installed
	$(PYTHON) -m venv .venv-matchers
	.venv-matchers/bin/python -m pip install --quiet --no-deps romatch==0.1.2 einops loguru opencv-python-headless
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > $$(.venv-matchers/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ours.pth
	@touch $@

OUT ?= paper

paper: $(VENV)/installed ## the paper's tables: make paper DATA=DIR [OUT=paper], of dreambenchplus/ and orida/ in DIR
	@test -n "$(DATA)" || { echo 'paper: name the data sets: make paper DATA=DIR (docs/paper.md)' >&2; exit 1; }
	@$(BIN)/python -m jobs.paper data="$(DATA)" out="$(OUT)"

wheel: $(VENV)/installed ## dist/*.whl
	rm -rf build/lib build/bdist.* dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

NEWER := 3.12 3.13

wheel-check: wheel ## the wheel in an environment of its own: pip check, the demo; and resolved for newer Pythons
	$(PYTHON) -m venv dist/clean
	dist/clean/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	dist/clean/bin/python -m pip check
	cd dist && clean/bin/masc-eval demo out=demo
	@cd dist && clean/bin/masc-eval evaluate conf/masc.yaml 2>&1 | grep 'run= is required'
	dist/clean/bin/python -m pip install --quiet --upgrade pip
	@for version in $(NEWER); do echo "resolving for Python $$version"; \
		dist/clean/bin/python -m pip install --quiet --dry-run --ignore-installed --target dist/none \
			--python-version $$version --only-binary=:all: dist/*.whl || exit 1; done

TORCH ?= torch

test-lowest: $(VENV)/installed ## the quick tests with the lowest versions that are allowed; TORCH=torch==2.13.0 keeps that one
	rm -rf build/lowest && mkdir -p build
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m pip install --quiet uv
	echo '$(TORCH)' > build/torch.txt
	build/lowest/bin/uv pip compile --quiet --resolution lowest-direct --extra test \
		--constraint build/torch.txt --output-file build/lowest.txt pyproject.toml
	build/lowest/bin/python -m pip install --quiet --constraint build/lowest.txt --editable '.[test]'
	OMP_NUM_THREADS=1 build/lowest/bin/python -m pytest --quiet -m 'not services and not slow'

docs: $(VENV)/installed ## the site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean: ## remove what the demo made
	rm -rf demo bench soak bench.json bench-gpu.json
