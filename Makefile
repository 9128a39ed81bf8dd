# dreamgrid: `make` shows what there is.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
ifneq ($(origin PROMPT),command line)
unexport PROMPT  # some shells export their own
else
export PROMPT
endif

# Of the SDK's modules those that hold methods; every other public name is in the first.
REFERENCE := dreamgrid $(addprefix dreamgrid.client.,projects models estimates finished files \
  account stats webhooks listeners sync door)

.DEFAULT_GOAL := help
.PHONY: help demo studio test lint typecheck format reference bench diffusers soak soak-cluster clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.ready ## Paint a picture: server, worker and app on this machine (PROMPT="a red apple")
	@$(BIN)/dreamgrid demo $${PROMPT:+"$$PROMPT"}

studio: web-src/node_modules/.package-lock.json ## Build the studio from web-src/ into the package; needs Node.js
	cd web-src && npm run --silent check && npm run --silent build

test: $(VENV)/.ready-dev ## Run every test
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(VENV)/.ready-dev ## Check style, formatting and the direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check

typecheck: $(VENV)/.ready-dev ## Check types, strictly
	$(BIN)/mypy

format: $(VENV)/.ready-dev ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

reference: $(VENV)/.ready-dev ## The SDK's reference from its docstrings, as pages in build/reference
	$(BIN)/python -W "ignore:Cannot determine where" -m pdoc --docformat google --no-show-source \
	  --output-directory build/reference $(REFERENCE)

bench: $(VENV)/.ready-dev ## Measure, beside the floor in the same run
	$(BIN)/python -m benchmarks

diffusers: $(VENV)/.ready-diffusers ## Install torch and diffusers as well: real weights, and their tests

soak: $(VENV)/.ready-dev ## Kill server, workers and app under load, then look what is lost (KILLS=100 HISTORIES=10000)
	$(BIN)/python -m tests.soak $(or $(KILLS),100)
	$(BIN)/python -m tests.simulation --random $(or $(HISTORIES),10000)

soak-cluster: $(VENV)/.ready-dev ## Kill, pause, stop and cut off nodes and their backends under load, then look what is lost (KILLS=100)
	$(BIN)/python -m tests.soak cluster $(or $(KILLS),100) $(SEED)

clean: ## Remove the virtual environment and caches; pictures and data stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

web-src/node_modules/.package-lock.json: web-src/package-lock.json
	cd web-src && npm ci --no-audit --no-fund

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dreamgrid needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "Python cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(VENV)/.ready: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing dreamgrid into $(VENV); the first time this takes one to two minutes ..."
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[server,embedded]'
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@$(PIP) install --quiet --constraint constraints.txt --upgrade pip
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[all]' --group dev
	@touch $@

$(VENV)/.ready-diffusers: $(VENV)/.ready-dev
	@echo "Installing torch and diffusers; they are large ..."
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[all,diffusers]'
	@touch $@
