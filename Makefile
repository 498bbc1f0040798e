# Everything a person or CI does here. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DRAWS := $(VENV)/.draws
GCP := $(VENV)/.gcp
STORES := $(VENV)/.stores
FUZZ := $(VENV)/.fuzz
AIRFLOW := .venv-airflow
AIRFLOW_INSTALLED := $(AIRFLOW)/.installed
PEERS := .venv-peers
PEERS_INSTALLED := $(PEERS)/.installed

.PHONY: help demo test test-slow test-engines test-stores test-airflow test-faults fuzz check format bench bench-peers bench-memory bench-audit bench-report bench-scale bench-bfloat16 validate validate-full clean

help:  ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(INSTALLED): setup.py pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

$(DRAWS): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	touch $@

$(GCP): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[gcp]'
	touch $@

$(STORES): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[stores]'
	touch $@

$(FUZZ): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt 'atheris>=3,<4'
	touch $@

# xplique's pin of TensorFlow is overruled by --no-deps; peers.txt says why.
$(PEERS_INSTALLED): setup.py constraints.txt benchmarks/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement benchmarks/peers.txt
	touch $@

$(AIRFLOW_INSTALLED):
	$(PYTHON) -m venv $(AIRFLOW)
	$(AIRFLOW)/bin/pip install --quiet --disable-pip-version-check apache-airflow==3.3.2 \
	  apache-airflow-providers-google==22.8.0 apache-airflow-providers-apache-beam==6.3.1 \
	  apache-airflow-providers-standard==1.21.0
	touch $@

demo: $(INSTALLED)  ## plant a shortcut in made-up images, train two models, audit them
	$(BIN)/gradcam-audit demo

test: $(INSTALLED)  ## run the default test suite, on up to four cores
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-slow: $(INSTALLED)  ## run what the default suite leaves out: every family of keras.applications
	$(BIN)/pytest -m slow

test-engines: $(GCP)  ## the same rows on Prism, Flink, several processes, a portable worker, as Dataflow gets it
	$(BIN)/pytest -m engines tests/engines

test-airflow: $(INSTALLED) $(AIRFLOW_INSTALLED)  ## the DAG of deploy/ under a real Airflow, in its own environment
	$(BIN)/pytest -m engines tests/engines/test_airflow.py

test-stores: $(STORES)  ## a whole audit between buckets of s3:// and gs://, on emulators
	$(BIN)/pytest -m slow tests/test_stores.py

fuzz: $(FUZZ)  ## every reader by atheris, guided by coverage, 100,000 inputs each
	$(BIN)/python -m tests.coverage_fuzz

test-faults: $(INSTALLED)  ## kill, fill, remove, corrupt while it runs; docs/reliability.md
	$(BIN)/pytest -m faults tests/faults

check: $(INSTALLED)  ## formatting, lint, types
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

format: $(INSTALLED)  ## format and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: $(INSTALLED)  ## the engine against the model's own forward pass
	$(BIN)/python benchmarks/bench_explain.py

bench-peers: $(PEERS_INSTALLED)  ## the same, and against other libraries in their own environment
	$(PEERS)/bin/python benchmarks/bench_explain.py --peers

bench-memory: $(INSTALLED)  ## the engine's memory above a forward pass, and over 2,000 batches
	$(BIN)/python benchmarks/bench_memory.py

bench-audit: $(INSTALLED)  ## a whole audit against model.predict over tf.data on the same files
	$(BIN)/python benchmarks/bench_audit.py

bench-report: $(INSTALLED)  ## the report of 1,000 classes and 50,000 scores: seconds and megabytes
	$(BIN)/python -m benchmarks.bench_report

bench-scale: $(INSTALLED)  ## rows through summarise and judge: time a row and memory, 10^5 and 10^6
	$(BIN)/python -m benchmarks.bench_scale

bench-bfloat16: $(INSTALLED)  ## what bfloat16 changes on the real photos in AUDIT_TEST_DATA
	$(BIN)/python benchmarks/bench_bfloat16.py $(AUDIT_TEST_DATA)

validate: $(DRAWS)  ## how often the verdicts are right, on 24 models with planted shortcuts
	$(BIN)/python -m benchmarks.planted --page docs/validation.md

validate-full: $(DRAWS)  ## the same on all of them; goes on where it was interrupted
	$(BIN)/python -m benchmarks.planted --full --page docs/validation.md

clean:  ## remove the environments and what the demo made
	rm -rf $(VENV) $(PEERS) $(AIRFLOW) demo-audit
