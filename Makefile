# Thin calls of the hatch scripts in pyproject.toml. Needs Python 3.11 or newer and make, nothing else:
# hatch and uv are put into .hatch/, the project's environment into .venv/. Options pass on: make test ARGS="-k email".

PYTHON ?= python3
ARGS ?=
HATCH := .hatch/bin/hatch

# Whatever PICTURES and KEEP are set to (make demo KEEP=1), the demo reads them from its environment.
export PICTURES KEEP
export HATCH_CONFIG := $(CURDIR)/.hatch/config.toml
# An active virtual environment of the user's must not become ours.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
# Tests and demo start Python by the dozen: what is compiled once is kept beside its source (make clean removes it).
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo dev test lint format types check bench chaos docs constraints clean

help: ## Show what there is to make
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep '##' Makefile

setup: $(HATCH) ## Create or update .venv, with the jobs command in its bin
	@$(HATCH) run pages

demo: $(HATCH) ## Run real work through all processes and check every output; KEEP=1 leaves them up
	@$(HATCH) run demo $(ARGS)

dev: $(HATCH) ## Run server, worker, dashboard and example API with reload
	@$(HATCH) run dev $(ARGS)

test: $(HATCH) ## Run all tests that this machine can run
	@$(HATCH) run test $(ARGS)

lint: $(HATCH) ## Check style and formatting
	@$(HATCH) run lint $(ARGS)

format: $(HATCH) ## Mend style and formatting
	@$(HATCH) run format $(ARGS)

types: $(HATCH) ## Check types
	@$(HATCH) run types $(ARGS)

check: lint types test ## Do all that a change must pass

bench: $(HATCH) ## Measure throughput and latency
	@$(HATCH) run bench $(ARGS)

chaos: $(HATCH) ## Kill, freeze and partition things under load, and check that nothing is lost
	@$(HATCH) run chaos $(ARGS)

docs: $(HATCH) ## Build the documentation into site/
	@$(HATCH) run docs:build $(ARGS)

# The members are named by their folders, since an index may hold packages of the same names.
constraints: $(HATCH) ## Pin anew what the images install
	@for member in packages/* apps/*; do name="$${member##*/}"; \
	  echo "jobs-$${name#jobs-} @ file://$(CURDIR)/$$member"; done > .hatch/members.txt
	@.hatch/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade \
	  --no-header --no-annotate --constraints .hatch/members.txt \
	  $$(sed 's/ @.*//; s/^/--no-emit-package /' .hatch/members.txt) \
	  --output-file docker/constraints.txt packages/*/pyproject.toml apps/*/pyproject.toml

clean: ## Remove everything that make has made
	@rm -rf .hatch .venv dist site .demo .dev .jobs .pytest_cache .ruff_cache .hypothesis
	@rm -rf apps/dashboard/web/node_modules apps/dashboard/src/jobs_dashboard/web
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# uv installs hatch several times faster than pip does.
$(HATCH):
	@command -v $(PYTHON) >/dev/null || { echo "make: no $(PYTHON) here; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $$($(PYTHON) -V) is too old; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "make: this Python cannot create virtual environments; on Debian: apt-get install python3-venv" >&2; exit 2; }
	@echo "Installing hatch into .hatch/ ..."
	@rm -rf .hatch
	@$(PYTHON) -m venv .hatch
	@.hatch/bin/python -m pip install -q --disable-pip-version-check uv
	@.hatch/bin/uv pip install -q --python .hatch/bin/python 'hatch>=1.18.2'
	@: >> $(HATCH_CONFIG)
