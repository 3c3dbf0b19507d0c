PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench soak claims gpu-check clean

help: ## what there is to make
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 16

setup: $(VENV)/installed ## build .venv with everything that demo and test need

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: $(VENV)/installed demo/made ## render a data set, score it, print the leaderboard
	@$(BIN)/python -m jobs.evaluate conf/demo.yaml

demo/made: jobs/render_demo.py $(wildcard jobs/demo/world/*.py) masc_core/demo_encoder/model.safetensors | $(VENV)/installed
	@rm -rf demo/run
	@$(BIN)/python -m jobs.render_demo out=demo/images
	@$(BIN)/python -m jobs.pack manifest=demo/images/manifest.csv out=demo/shards shard_size=48 overwrite=true
	@touch $@

test: lint ## ruff, the type checker and pytest
	$(BIN)/python -m pytest

lint: $(VENV)/installed ## ruff and the type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed ## the figures of speed and memory; about 40 minutes on 2 cores
	@$(BIN)/python -m tests.benchmarks

soak: $(VENV)/installed ## 25 minutes of runs in which workers, nodes, drivers and storage fail
	$(BIN)/python -m pytest -q --hypothesis-profile=search tests/pipeline/run/test_ledger.py
	@$(BIN)/python -m tests.soak

gpu-check: $(VENV)/installed ## parity and speed on a machine with an NVIDIA GPU
	@$(BIN)/python -c 'import sys, torch; torch.cuda.is_available() or sys.exit("gpu-check: torch sees no CUDA device")'
	$(BIN)/python -m pytest -m gpu
	@$(BIN)/python -m tests.benchmarks 'only=[gpu]' out=bench-gpu.json

claims: $(VENV)/installed ## what the demo's encoder can tell apart, on concepts it has not seen
	@$(BIN)/python -m tests.claims

clean: ## remove what the demo made
	rm -rf demo bench soak bench.json bench-gpu.json
