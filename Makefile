PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGES := smallobj tests tools benchmarks datasets train_net.py demo.py

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check lint types layers clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.ready  ## install everything into .venv

$(VENV)/.ready: requirements.txt requirements-detectron2.txt requirements-dev.txt tools/setup.sh
	bash tools/setup.sh $(PYTHON) $(VENV)
	@touch $@

demo: setup  ## detect objects in the bundled images with the bundled model
	$(BIN)/python demo.py --input datasets/samples --output output/demo --confidence-threshold 0.3

test: setup  ## run the tests
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "not slow"

test-slow: setup  ## run the few tests that take longer, such as killed runs of several processes
	$(BIN)/python -m pytest -n 2 -m slow

check: lint types layers test  ## lint, types, import layers, tests; CI also runs test-slow

lint: setup
	$(BIN)/ruff check $(PACKAGES)
	$(BIN)/ruff format --check $(PACKAGES)

types: setup
	$(BIN)/mypy

layers: setup
	$(BIN)/lint-imports

clean:  ## remove the environment and the output of runs
	rm -rf $(VENV) output
