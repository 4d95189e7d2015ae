# make lab    read and operate the course          make test    check everything
# PYTHON=python3.12 chooses the Python that .venv is made with; ARGS=... is handed on to JupyterLab or pytest.
# All that is installed goes into .venv; nothing else on the machine is touched.

PYTHON ?= python3
ARGS ?=
PY := .venv/bin/python
NOTEBOOKS := $(wildcard notebooks/*.ipynb)

# JupyterLab refuses to run as root unless told so; inside a container root is who one usually is.
AS_ROOT := $(if $(filter 0,$(shell id -u)),--allow-root)
TESTS := --numprocesses=logical --dist=loadfile
NBVAL := --nbval --nbval-current-env --nbval-sanitize-with=tests/nbval.cfg

.DEFAULT_GOAL := help
.PHONY: help lab test long differential browser bench outputs pictures lint set-up set-up-dev clean

help: ## say what there is to make
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 16

lab: set-up ## start JupyterLab with the course (ARGS=--no-browser where there is no screen)
	cd notebooks && ../$(PY) -m jupyterlab $(AS_ROOT) 00_start_here.ipynb $(ARGS)

test: set-up-dev ## unit tests, doctests, and every notebook with its outputs compared
	$(PY) -m pytest $(TESTS) $(NBVAL) tests mmkit $(NOTEBOOKS) $(ARGS)

long: set-up-dev ## the same tests with many more examples, and others each time
	$(PY) -m pytest $(TESTS) --hypothesis-profile=long tests mmkit $(ARGS)

differential: set-up-dev ## the models beside the running kernel and beside an emulated processor, a million times each
	$(PY) tests/model/vma/differential.py --operations 1000000 $(ARGS)
	$(PY) tests/model/pgtable/test_unicorn.py --accesses 1000000
	$(PY) tests/model/machine/kernelfamily.py --steps 100000

browser: set-up-dev ## operate notebooks and labs in a real JupyterLab and a real Chromium
	$(PY) -m pytest tests/browser $(ARGS)

bench: set-up-dev ## every speed that is claimed, as ratios measured now
	$(PY) benchmarks $(ARGS)

lint: set-up-dev ## style and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy

outputs: set-up-dev ## run the notebooks and write their outputs, ready to commit
	$(PY) .ci/outputs.py $(ARGS)

pictures: set-up-dev ## make the README's pictures anew
	$(PY) .ci/readme_pictures.py

clean: ## remove .venv and everything that was made
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

set-up:
	@$(call prepare,lab)

set-up-dev:
	@$(call prepare,dev)

define prepare
command -v $(PYTHON) >/dev/null || { echo 'There is no $(PYTHON) here. mmkit needs Python 3.11 or newer; \
	name yours: make lab PYTHON=/path/to/python3' >&2; exit 1; }; $(PYTHON) .ci/environment.py $(1)
endef
