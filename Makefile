# `make study` and `make test` set up everything they need in .venv, from constraints.txt.
PYTHON ?= python3
# cpu: the small build of torch. `make study TORCH=cuda` takes PyPI's build for NVIDIA GPUs, several GB, on purpose.
TORCH ?= cpu
OUT ?= runs/laptop

VERSION := $(shell sed -n 's/^torch==//p' constraints.txt)
INSTALL := .venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: study test check clean

study: .venv/installed
	.venv/bin/cratelm study --preset laptop --out $(OUT)

test: .venv/installed
	.venv/bin/python -m pytest

check: .venv/installed
	.venv/bin/ruff format --check src tests benchmarks
	.venv/bin/ruff check src tests benchmarks
	.venv/bin/pyrefly check

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
ifeq ($(TORCH)-$(shell uname),cpu-Linux)
	$(INSTALL) torch==$(VERSION)+cpu 2>/dev/null \
	  || $(INSTALL) --index-url https://download.pytorch.org/whl/cpu torch==$(VERSION)+cpu
endif
	$(INSTALL) -e '.[dev]'
	touch $@

clean:
	rm -rf .venv dist
