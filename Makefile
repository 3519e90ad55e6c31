# Every command sets up what it needs: the virtual environment here, the control plane's binaries in the user's cache.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
READY := $(VENV)/.ready
# The first Python that is new enough; PYTHON=… overrides it.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
# The environment is made anew for another PYTHON=… than it has.
ifneq ($(origin PYTHON),file)
ifneq ($(shell [ ! -x $(PY) ] || $(PY) -V),$(shell $(PYTHON) -V))
$(shell rm -f $(READY))
endif
endif
NODES ?= 20
# Test processes at a time; each may run a control plane of its own (about 1 GB).
JOBS ?= 2

.PHONY: help setup demo demo-nodes test test-unit lint fmt bench headline headline-quick soak fuzz cluster cluster-down binaries image manifests release lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  KUBERNETES=1.35 with any of them: on that version; PYTHON=python3.13: with that Python"

setup: $(READY) ## Make the virtual environment with the pinned dependencies

$(READY): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "lastnode needs Python 3.11 or newer on PATH (or make PYTHON=/path/to/python3.12 …)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo "$(PYTHON) cannot make a virtual environment (on Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "installing the pinned dependencies into $(VENV)" >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## Watch sessions come back to their nodes on a real control plane; KEEP=1 leaves it running
	@$(PY) -m testbed.demo $(if $(KEEP),--keep)

demo-nodes: $(READY) ## The same on real nodes (kubelet, containerd, pulls); on Linux as root, about 3 minutes
	@$(PY) -m testbed.nodes.demo

test: $(READY) ## Run every test (the first time builds the control plane: about 10 minutes)
	@$(PY) -m testbed binaries --real-nodes
	@$(PY) -m pytest -n $(JOBS) --dist loadfile tests

test-unit: $(READY) ## Run only the tests that need no control plane
	@$(PY) -m pytest -n $(JOBS) tests/unit

lint: $(READY) ## Check style, types and layers; repair nothing
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted: make fmt"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo >/dev/null || $(BIN)/lint-imports
	@$(BIN)/yamllint --strict .github scheduler-config deploy testbed tests/monitoring/rules
	@$(BIN)/shellcheck .ci/run testbed/nodes/*.sh

fmt: $(READY) ## Repair style
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

bench: $(READY) ## Measure; figures with their machine are in docs/measured.md
	@$(PY) -m benchmarks

soak: $(READY) ## Three minutes of random faults; SOAK_SEED= plays them again, SOAK_SECONDS= makes it longer
	@$(PY) -m testbed binaries
	@SOAK_SECONDS=$(or $(SOAK_SECONDS),180) $(PY) -m pytest -s tests/recorder/test_soak.py

fuzz: $(READY) ## A minute each of anything in bytes and in objects; FUZZ_SEED= plays it again, FUZZ_SECONDS=600 makes it longer
	@$(PY) -m testbed binaries
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) $(PY) -m pytest -s tests/fuzz

headline: $(READY) ## 20,000 sessions a round on 1,000 nodes, with and without lastnode: hours; WORLD= ARMS= SCALE= MINUTES=
	@$(PY) -m benchmarks.headline --scale $(or $(SCALE),1) $(if $(WORLD),--world $(WORLD)) $(if $(ARMS),--arms $(ARMS)) \
		$(if $(MINUTES),--minutes $(MINUTES))

headline-quick: $(READY) ## The same of 400 sessions a round on 100 nodes, with and without: two minutes; WORLD=many
	@$(PY) -m benchmarks.headline --quick --world $(or $(WORLD),one)

cluster: $(READY) ## Leave a control plane with NODES=20 simulated nodes running; prints KUBECONFIG
	@$(PY) -m testbed up --nodes $(NODES)

cluster-down: $(READY) ## Stop what make cluster started
	@$(PY) -m testbed down

binaries: $(READY) ## Find or build the control plane, helm and kubectl; on Linux as root what real nodes run, too
	@$(PY) -m testbed binaries --real-nodes

image: $(READY) ## Build the container image with buildah, podman or docker; IMAGE=NAME:TAG BASE=IMAGE
	@$(PY) -m tools.image $(if $(IMAGE),--tag $(IMAGE)) $(if $(BASE),--base $(BASE))

manifests: $(READY) ## Write build/manifests/SETUP.yaml for who does not want Helm in the cluster
	@$(PY) -m tools.render

release: $(READY) ## Make all files of a release in build/releases: VERSION=0.2.0 URL=… REGISTRY=…; DRAFT=1 tries it
	@$(PY) -m tools.release --version "$(VERSION)" $(if $(URL),--url $(URL)) $(if $(REGISTRY),--registry $(REGISTRY)) $(if $(DRAFT),--draft)

lock: $(READY) ## Write requirements/*.txt anew from pyproject.toml (needs uv: pip install uv)
	@uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra all pyproject.toml -o requirements/run.txt
	@uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra all --group dev pyproject.toml -o requirements/dev.txt
	@uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--group build --constraints requirements/dev.txt -o requirements/build.txt

# build/benchmarks holds what took hours to measure.
clean: ## Remove what the commands above made in this folder, but for measured results
	@rm -rf $(VENV) *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name benchmarks -exec rm -rf {} +
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
