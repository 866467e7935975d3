# Two commands are all the set-up: `make run` and `make test`. Both install what they need into .venv first.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# The build of torch that pip finds here; for another (CUDA, or CPU only): make TORCH="..." with
# what pytorch.org gives for your machine (see README).
TORCH  ?= torch==2.13.0

.PHONY: run translation test lint check slow install clean

run: install
	PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/quickstart/run.sh

# The original Transformer learns, from random weights, to write out dates and numbers.
translation: install
	PATH="$(CURDIR)/$(BIN):$$PATH" bash recipes/translation/run.sh

test: install
	$(BIN)/python -m pytest -n 2 tests

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports --no-cache

check: lint test

slow: install
	$(BIN)/python -m pytest -m slow tests

install: $(VENV)/installed

# torch first: with it in place nothing that depends on it brings in a CUDA build.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	$(BIN)/python -m compileall -q src  # the command starts sooner, also where Python writes no bytecode
	touch $@

clean:
	rm -rf $(VENV) output
