# `make study` and `make test` set up everything they need in .venv, from constraints.txt.
PYTHON ?= python3
# cpu: the small build of torch. `make study TORCH=cuda` takes PyPI's build for NVIDIA GPUs, several GB, on purpose.
TORCH ?= cpu
OUT ?= runs/laptop

VERSION := $(shell sed -n 's/^torch==//p' constraints.txt)
INSTALL := .venv/bin/python -m pip install --quiet --disable-pip-version-check
# torch alone: what it requires comes with the rest, at the versions of constraints.txt, which PyTorch's index may not
# have. Without constraints, pip says which versions it found; with them, only that two requirements conflict.
INSTALL_TORCH := $(INSTALL) --no-deps
CPU_INDEX := https://download.pytorch.org/whl/cpu

.PHONY: demo study test test-all check docs clean

demo: .venv/study
	.venv/bin/cratelm demo

study: .venv/study
	.venv/bin/cratelm study --preset laptop --out $(OUT)

# One process per logical processor ("auto" counts physical cores). worksteal gives each process neighbouring tests, so
# that a module's fixtures are seldom made twice.
PYTEST := .venv/bin/python -m pytest -n logical --dist worksteal

test: .venv/installed
	$(PYTEST) -m "not (slow or processes or judge or browser or foreign or cluster)"

# Those marked cluster start Slurm or Ray on this machine: pytest -m cluster.
test-all: .venv/installed
	$(PYTEST) -m "not cluster"

check: .venv/installed
	.venv/bin/ruff format --check src tests benchmarks examples
	.venv/bin/ruff check src tests benchmarks examples
	.venv/bin/pyrefly check
	.venv/bin/codespell README.md CONTRIBUTING.md docs src viewer/src

# The site in docs/_build; a broken link or a page that nothing leads to is an error.
docs: .venv/installed
	.venv/bin/python -m sphinx -q -W --keep-going -b html docs docs/_build

# What a study and the viewer need; everything else is a gigabyte more.
.venv/study: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
ifeq ($(TORCH)-$(shell uname),cpu-Linux)
	$(INSTALL_TORCH) torch==$(VERSION)+cpu \
	  || { echo "The package index gives no torch==$(VERSION)+cpu (see above). Trying $(CPU_INDEX)." >&2; \
	       $(INSTALL_TORCH) --retries 1 --timeout 20 --index-url $(CPU_INDEX) torch==$(VERSION)+cpu; } \
	  || { echo "$(CPU_INDEX) does not give it either (see above)." \
	            "Installing torch==$(VERSION) for NVIDIA GPUs instead: several GB will be downloaded." >&2; \
	       $(INSTALL_TORCH) torch==$(VERSION); }
endif
	$(INSTALL) -c constraints.txt -e '.[view]'
	touch $@

.venv/installed: .venv/study
	$(INSTALL) -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf .venv dist
