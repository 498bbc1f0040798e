# Everything a person or CI does here. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DRAWS := $(VENV)/.draws

.PHONY: help demo test check format bench validate validate-full clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(INSTALLED): setup.py pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

$(DRAWS): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	touch $@

demo: $(INSTALLED)  ## plant a shortcut in made-up images, train two models, audit them
	$(BIN)/gradcam-audit demo

test: $(INSTALLED)  ## run the default test suite
	$(BIN)/pytest

check: $(INSTALLED)  ## formatting, lint, types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(INSTALLED)  ## format and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(INSTALLED)  ## the engine against the model's own forward pass
	$(BIN)/python benchmarks/bench_explain.py

validate: $(DRAWS)  ## how often the verdicts are right, on 24 models with planted shortcuts
	$(BIN)/python -m benchmarks.planted --page docs/validation.md

validate-full: $(DRAWS)  ## the same on all of them; goes on where it was interrupted
	$(BIN)/python -m benchmarks.planted --full --page docs/validation.md

clean:  ## remove the environment and what the demo made
	rm -rf $(VENV) demo-audit
