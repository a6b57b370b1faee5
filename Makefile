# `make run` serves Lacewing; `make help` lists the rest. Everything is installed into .venv.

.DEFAULT_GOAL := help

# The first Python that TensorFlow has wheels for; `make PYTHON=/path/to/python` names another.
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c '$(SUITABLE)' 2> /dev/null && echo $$python && break; done)
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.installed-runtime
DEVELOPMENT := $(VENV)/.installed-development
LOCKER := .venv-lock
PIP := -m pip --disable-pip-version-check --quiet
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header --upgrade

# Where to serve; `make run HOST=0.0.0.0 PORT=9000` and `PORT=9000 make run` both work.
HOST ?= 127.0.0.1
PORT ?= 8000
export HOST PORT
# Without compiled modules every start would take half a second more.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help run test test-browser test-server test-networks test-readme screenshots lint format shell bench lock clean

help:  ## list these commands
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "%-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUNTIME)  ## install, prepare and serve on http://127.0.0.1:8000 (HOST, PORT)
	@exec $(BIN)/python manage.py serve

test: $(DEVELOPMENT)  ## run the tests (ARGS="-k name" passes options to pytest)
	@exec $(BIN)/python -m pytest --numprocesses auto $(ARGS)

test-browser: $(DEVELOPMENT)  ## run the tests that drive Chromium
	@exec $(BIN)/python -m pytest -m browser $(ARGS)

test-server: $(DEVELOPMENT)  ## run the tests that put real servers under load
	@exec $(BIN)/python -m pytest -m slow $(ARGS)

test-networks: $(DEVELOPMENT)  ## hold the largest networks to their contract; takes long
	@exec $(BIN)/python -m pytest -m heavy $(ARGS)

test-readme: $(DEVELOPMENT)  ## run the longer commands of the README
	@exec $(BIN)/python -m pytest -m readme $(ARGS)

screenshots: $(DEVELOPMENT)  ## take the pictures of docs/screenshots anew; takes minutes
	@exec $(BIN)/python -m tests.browser.screenshots $(ARGS)

lint: $(DEVELOPMENT)  ## check style, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEVELOPMENT)  ## sort imports and lay the code out
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

shell: $(RUNTIME)  ## open a Python shell with the models loaded
	@exec $(BIN)/python manage.py shell

bench: $(RUNTIME)  ## measure the server: requests/s, memory, first answer
	@exec $(BIN)/python -m benchmarks.serving $(ARGS)

lock: $(LOCKER)/bin/uv  ## choose the newest allowed versions and write both locks
	$(LOCKER)/bin/$(COMPILE) --output-file requirements.lock > /dev/null
	$(LOCKER)/bin/$(COMPILE) --extra dev --constraint requirements.lock \
		--output-file requirements-dev.lock > /dev/null

clean:  ## remove the virtual environments and caches; var/ stays
	@rm -rf $(VENV) $(LOCKER) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUITABLE)' || { \
		echo "Lacewing needs Python 3.11, 3.12 or 3.13; found: $$(python3 --version 2>&1)." \
			"Install one, or name it: make PYTHON=/path/to/python." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Making $(VENV) failed; Debian and Ubuntu need the package python3-venv." >&2; \
		exit 1; }

$(RUNTIME): requirements.lock | $(BIN)/python
	@echo "Installing the packages of requirements.lock into $(VENV); this takes minutes ..."
	@$(BIN)/python $(PIP) install --require-hashes --requirement requirements.lock
	@touch $@

$(DEVELOPMENT): requirements-dev.lock | $(BIN)/python
	@echo "Installing the packages of requirements-dev.lock into $(VENV); this takes minutes ..."
	@$(BIN)/python $(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@ $(RUNTIME)

$(LOCKER)/bin/uv:
	@$(PYTHON) -m venv $(LOCKER)
	@$(LOCKER)/bin/python $(PIP) install uv
