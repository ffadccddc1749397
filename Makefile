# Each target sets up what it needs in .venv by itself; a second call takes seconds.

PYTHON ?= $(shell for each in python3.14 python3.13 python3.12 python3.11 python3; do \
	command -v $$each >/dev/null && $$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$each && break; \
	done)
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find broker storage -name '*.pyx' -o -name '*.pxd' -o -name '*.py')
ARGUMENTS ?=

.DEFAULT_GOAL := help
.PHONY: help run test check bench build clean

help:  ## show this
	@grep -hE '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

run: build  ## start a broker with its data in ./data (ARGUMENTS="--set amqp.port=5673")
	$(BIN)/python -m broker serve $(ARGUMENTS)

test: $(VENV)/test build  ## run the tests (ARGUMENTS="-k poller")
	$(BIN)/python -m pytest $(ARGUMENTS)

check: $(VENV)/dev build  ## style and types: ruff, mypy, cython-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint broker storage

bench: $(VENV)/test build  ## measure, beside the peers that are installed (ARGUMENTS="--help")
	$(BIN)/python -m benchmarks $(ARGUMENTS)

build: $(VENV)/built  ## compile the Cython modules in place

clean:  ## remove everything that was built; data stays
	rm -rf $(VENV) build dist *.egg-info benchmarks/build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find broker storage \( -name '*.so' -o -name '*.c' -o -name '__pycache__' \) -prune -exec rm -rf {} +

# ── set-up, once per change of pyproject.toml ──

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Hubbub needs Python 3.11 or later; none was found." >&2; exit 1; }
	@echo "making $(VENV) with $(PYTHON)"
	$(PYTHON) -m venv $(VENV)

# `requirements NAME` prints what pyproject.toml wants for the package itself (NAME empty) or for one of its extras.
requirements = $(BIN)/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb")); \
	print(*(project["project"]["optional-dependencies"]["$(1)"] if "$(1)" else \
	project["project"]["dependencies"] + project["build-system"]["requires"]), sep="\n")'
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(VENV)/runtime: pyproject.toml | $(BIN)/python
	@echo "installing what the broker needs"
	@$(call requirements,) >$(VENV)/runtime.txt
	$(install) -r $(VENV)/runtime.txt
	@touch $@

$(VENV)/test $(VENV)/dev: $(VENV)/%: pyproject.toml $(VENV)/runtime
	@echo "installing the extra '$*'"
	@$(call requirements,$*) >$(VENV)/$*.txt
	$(install) -r $(VENV)/$*.txt
	@touch $@

$(VENV)/built: setup.py $(SOURCES) $(VENV)/runtime
	@echo "compiling"
	$(BIN)/python setup.py --quiet build_ext --inplace --parallel 2
	@touch $@
