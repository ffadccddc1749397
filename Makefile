# Each target sets up what it needs in .venv by itself; a second call takes seconds.

PYTHON ?= python3.14 python3.13 python3.12 python3.11 python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find broker storage -name '*.pyx' -o -name '*.pxd' -o -name '*.py')
ARGUMENTS ?=

.DEFAULT_GOAL := help
.PHONY: help run test check bench gate fuzz build clean

help:  ## show this
	@grep -hE '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

run: build  ## start a broker with its data in ./data (ARGUMENTS="--set amqp.port=5673")
	@exec $(BIN)/hubbub serve $(ARGUMENTS)

test: $(VENV)/test build  ## run the tests (ARGUMENTS="-k poller")
	$(BIN)/python -m pytest $(ARGUMENTS)

check: $(VENV)/dev $(VENV)/test build  ## style and types: ruff, mypy, cython-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint broker storage

bench: $(VENV)/test build  ## measure, beside the peers that are installed (ARGUMENTS="--help")
	$(BIN)/python -m benchmarks $(ARGUMENTS)

gate: $(VENV)/runtime build  ## count the hot paths' instructions beside the baseline (wants valgrind)
	$(BIN)/python -m benchmarks.micro --gate $(ARGUMENTS)

fuzz: $(VENV)/test build  ## look for input that breaks something (ARGUMENTS="--seconds 300")
	$(BIN)/python -m tests.fuzz all $(ARGUMENTS)

build: $(VENV)/built  ## compile the Cython modules in place

clean:  ## remove everything that was built; data stays
	rm -rf $(VENV) build dist *.egg-info benchmarks/build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find broker storage \( -name '*.so' -o -name '*.c' -o -name '__pycache__' \) -prune -exec rm -rf {} +

# ── set-up, once per change of pyproject.toml ──

# Prints what a Python lacks; nothing where it will do.
define UNFIT
import importlib.util, pathlib, sys, sysconfig
if sys.version_info < (3, 11):
    print("is older than 3.11")
elif not importlib.util.find_spec("ensurepip"):
    print("lacks venv (Debian: apt install python3-venv)")
elif not pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file():
    print("lacks its headers (Debian: apt install python3-dev)")
endef
export UNFIT

$(BIN)/python:
	@command -v $(firstword $(CC)) >/dev/null || { echo "Hubbub needs a C compiler (Debian: apt install gcc libc6-dev)." >&2; exit 1; }
	@for each in $(PYTHON); do \
		unfit=$$($$each -c "$$UNFIT" 2>/dev/null) || continue; \
		if [ -z "$$unfit" ]; then \
			echo "making $(VENV) with $$each"; \
			exec $$each -m venv $(VENV); \
		fi; \
		echo "$$each $$unfit" >&2; \
	done; \
	echo "Hubbub needs Python 3.11 or later, with venv and headers; none was found." >&2; exit 1

# Prints what pyproject.toml wants for the package itself (no name), or for one of its extras and the extras in it.
define REQUIREMENTS
import re, sys, tomllib
pyproject = tomllib.load(open("pyproject.toml", "rb"))
project, extras = pyproject["project"], pyproject["project"]["optional-dependencies"]
def wanted(name):
    for each in extras[name]:
        own = re.fullmatch(r"hubbub\[(.*)\]", each)
        yield from (inner for extra in own[1].split(",") for inner in wanted(extra.strip())) if own else (each,)
name = sys.argv[1] if len(sys.argv) > 1 else ""
print(*(wanted(name) if name else project["dependencies"] + pyproject["build-system"]["requires"]), sep="\n")
endef
export REQUIREMENTS
requirements = $(BIN)/python -c "$$REQUIREMENTS" $(1)
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(VENV)/runtime: pyproject.toml | $(BIN)/python
	@echo "installing what the broker needs"
	@$(call requirements,) >$(VENV)/runtime.txt
	@$(install) -r $(VENV)/runtime.txt
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s/python" -P -m broker "$$@"\n' "$(CURDIR)" "$(CURDIR)/$(BIN)" >$(BIN)/hubbub
	@chmod +x $(BIN)/hubbub
	@touch $@

$(VENV)/test $(VENV)/dev: $(VENV)/%: pyproject.toml $(VENV)/runtime
	@echo "installing the extra '$*'"
	@$(call requirements,$*) >$(VENV)/$*.txt
	@$(install) -r $(VENV)/$*.txt
	@touch $@

$(VENV)/built: setup.py $(SOURCES) $(VENV)/runtime
	@echo "compiling; the first time takes a minute or two"
	@$(BIN)/python setup.py --quiet build_ext --inplace
	@touch $@
