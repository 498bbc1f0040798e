# Everything a person or CI does here. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo test test-slow check format bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(INSTALLED): setup.py pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(INSTALLED)  ## plant a shortcut in made-up images, train two models, audit them
	$(BIN)/gradcam-audit demo

test: $(INSTALLED)  ## run the default test suite
	$(BIN)/pytest

test-slow: $(INSTALLED)  ## run what the default suite leaves out: every family of keras.applications
	$(BIN)/pytest -m slow

check: $(INSTALLED)  ## formatting, lint, types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(INSTALLED)  ## format and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(INSTALLED)  ## the engine against the model's own forward pass
	$(BIN)/python benchmarks/bench_explain.py

clean:  ## remove the environment and what the demo made
	rm -rf $(VENV) demo-audit
