# Every target sets up what it needs in .venv and installs nothing the second time.

PYTHONS := python3.13 python3.12 python3.11 python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALL := $(PY) -m pip install --disable-pip-version-check --constraint constraints.txt --editable
PYTEST := $(PY) -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal --durations 10

# With an NVIDIA driver, also what compiles GPU kernels, so that the demo trains there.
EXTRAS := $(if $(wildcard /proc/driver/nvidia/version /dev/nvidia0),[cuda])

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs wheel clean

help:
	@echo "make demo    train DAGNN, GCN and MLP on handwritten digits, 3 seeds each"
	@echo "make test    run the tests (on a GPU machine also: $(PY) -m pytest -m cuda)"
	@echo "make lint    format check, lint, types"
	@echo "make docs    build the documentation into docs/_build/html"
	@echo "make wheel   build the source archive and the wheel into dist/"
	@echo "make clean   remove .venv and everything built"

demo: $(VENV)/.base
	$(VENV)/bin/neighborgraph run dagnn,gcn,mlp digits --seeds 3

test: $(VENV)/.dev
	$(PYTEST)

lint: $(VENV)/.dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pyright --pythonpath $(PY)

docs: $(VENV)/.dev
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

wheel: $(VENV)/.dev
	$(PY) -m build

clean:
	rm -rf $(VENV) dist build docs/_build .pytest_cache .ruff_cache .hypothesis
	find neighborgraph tests examples -name __pycache__ -type d -exec rm -rf {} +

# The stamps depend on what decides their content, so that an edit installs again.
$(VENV)/.base: pyproject.toml constraints.txt | $(PY)
	$(INSTALL) '.$(EXTRAS)'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(PY)
	$(INSTALL) '.[cuda,dev,docs]'
	@touch $(VENV)/.base $@

# ensurepip is what a system Python without its venv package lacks.
$(PY):
	@for python in $(PYTHONS); do \
	    if $$python -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "$$python -m venv $(VENV)"; exec $$python -m venv $(VENV); \
	    fi; \
	done; \
	echo "Python 3.11 or newer with its venv module is needed; tried: $(PYTHONS)" >&2; exit 1
