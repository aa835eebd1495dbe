# make run: train the default experiment; make test: the whole suite. Each makes .venv and installs if needed.
PYTHON ?= python3
BIN = .venv/bin
SOURCES = setup.py pyproject.toml minigan/_version.py

.PHONY: run test lint bench soak peers clean

run: .venv/installed-plot
	$(BIN)/minigan train

test: .venv/installed-test
	$(BIN)/python -m pytest

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed-test
	$(BIN)/python -m bench.quality

soak: .venv/installed-test
	$(BIN)/python -m bench.soak all

peers: .venv/installed-plot
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r bench/peers/requirements.txt
	$(BIN)/python -m bench.peers

.venv/installed-%: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	touch $@

clean:
	rm -rf .venv build *.egg-info
