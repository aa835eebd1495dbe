# make run       train the default experiment            make lint      ruff and mypy
# make test      the whole suite                         make coverage  the suite, with its branch coverage
# make bench     CPU against GPU, `minigan bench`        make quality   the default run over many seeds
# make peers     speed beside PyTorch, JAX and others    make soak      the injections of faults at length
# make report    tables and picture of docs/             make docs      the site, under build/docs/html
# make dist      the archives, checked and installed    make browser   the pages in Chromium, if it is there
# make studio    the live page of the default GAN        make pictures  docs/studio, taken anew in Chromium
# make views     every tab of it, of ten games, in five windows, as pictures in build/views, and what is wrong with them
# make clean     remove what make has made
# Each makes .venv and installs what it needs.
PYTHON ?= python3
BIN = .venv/bin
SOURCES = setup.py pyproject.toml minigan/_version.py
# One process more than cores, at most four: some tests wait. Modules in their order; the last is shared.
WORKERS = $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count() + 1, 4))')
PARALLEL = -n $(WORKERS) --dist worksteal
# The suite starts hundreds of processes: what they import is compiled once, not in each.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help run studio test browser pictures views coverage lint bench quality peers soak report docs dist clean

run: .venv/installed-plot
	$(BIN)/minigan train

studio: .venv/installed-ui
	$(BIN)/minigan studio

help:
	@sed -n '/^# make/s/^# //p' Makefile

test: .venv/installed-test
	$(BIN)/python -m pytest $(PARALLEL)

# What the suite skips for want of Bokeh, and the pages in a browser (Debian: apt install chromium chromium-driver).
browser: .venv/installed-browser
	$(BIN)/python -m pytest tests/browser tests/studio tests/views tests/markup tests/reports/test_report.py tests/cli/test_report.py tests/cli/test_studio.py

# Branch coverage by the whole suite: 95 % of the package, 100 % of the engine, the checkpoints and the configuration.
coverage: .venv/installed-test
	$(BIN)/python -m pytest $(PARALLEL) --cov --cov-report=
	$(BIN)/coverage report --show-missing --fail-under=95
	$(BIN)/coverage report --include='minigan/engine/*,minigan/storage/checkpoint.py,minigan/training/config.py,minigan/training/limits.py,minigan/training/settings.py' --fail-under=100

# What docs/studio.md shows, after the studio was given another look: to be looked at, and committed.
pictures: .venv/installed-browser
	PICTURES=keep $(BIN)/python -m pytest tests/browser/test_pictures.py

# To be looked at one by one after its layout was changed; a part with WHICH="ring8 and dark-1024".
WHICH = light or dark
views: .venv/installed-browser
	VIEWS=build/views $(BIN)/python -m pytest tests/browser/test_views.py -k "$(WHICH)"

lint: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/installed-plot
	$(BIN)/minigan bench

quality: .venv/installed-plot
	$(BIN)/python -m bench.quality

soak: .venv/installed-test
	$(BIN)/python -m bench.soak all

peers: .venv/installed-plot
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r bench/peers/requirements.txt
	$(BIN)/python -m bench.peers

report: .venv/installed-plot
	$(BIN)/python -m bench.report --write

docs: .venv/installed-docs
	$(BIN)/python docs/site/build.py

# What is published, as whoever installs it has it: in an environment with nothing else, away from the checkout.
dist: .venv/installed-dist
	rm -rf build/dist build/empty
	$(BIN)/python -m build --outdir build/dist .
	$(BIN)/python -m twine check --strict build/dist/*
	$(PYTHON) -m venv build/empty
	build/empty/bin/python -m pip install --quiet --disable-pip-version-check build/dist/*.whl
	cd build/dist && ../empty/bin/minigan train --fast-dev-run --out runs

.venv/installed-%: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	touch $@

clean:
	rm -rf .venv .venv-newest .nox build *.egg-info .coverage*
