# Everything from a fresh clone, with Python 3.11 or newer and make: `make demo`, `make test`. `make` lists the rest.

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough; `make PYTHON=/path/to/python3.12 ...` overrides it.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
INSTALL_ARGS := -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=strict
INSTALL := $(BIN)/python $(INSTALL_ARGS)
PACKAGE := __init__.py worker.py adapter activities workflows

# Hundreds of processes import the package; each would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: docs docs-publish help demo demo-crash server test test-quick test-core test-cores test-pythons dist lock sbom types chaos crash-points placement exits soak flood hostile devui-test console-assets console-long bench newcomer wheel-test lint format format-check typecheck ci clean FORCE

help:
	@echo 'make demo [ARGS=...]   the content-approval example on a local Temporal server'
	@echo 'make demo-crash        the same, with its worker killed in the middle of a tool loop'
	@echo 'make server            a local Temporal server that keeps its threads in .temporal/'
	@echo 'make test [ARGS=...]   the whole test suite; README.md says how long it takes'
	@echo 'make test-quick        in less than two minutes: what needs no server and few processes, and all replays'
	@echo 'make test-core CORE=1.23.0   what depends on the framework, against that agent-framework-core'
	@echo 'make test-cores        the same for the oldest and the newest that is supported'
	@echo 'make test-pythons      a short part of the tests on each other supported Python that is found'
	@echo 'make soak              10,000 supersteps in one thread, and the worker does not grow; SOAK_SUPERSTEPS=n'
	@echo 'make flood             10,000 and 30,000 hostile signals against a run'
	@echo 'make hostile [ARGS=..] all that a hostile neighbour would try, with a figure for each section; ARGS=--quick'
	@echo 'make console-assets    build the page of the console; needs Node 20'
	@echo 'make console-long      the tests of the console, with a thread of 10,000 events'
	@echo 'make devui-test        DevUI with a durable workflow, in headless Chromium'
	@echo 'make bench [ARGS=...]  what a superstep costs, on a local Temporal server; ARGS=--quick: in a minute'
	@echo 'make chaos [ARGS=...]  kill workers and servers at random under load, and check what is left'
	@echo 'make crash-points      kill a worker in each model and tool call of each orchestration'
	@echo 'make placement         every row of the gallery placed, and a worker that is absent for a minute'
	@echo 'make newcomer [ARGS=..] README and pages word for word in an empty environment; ARGS=docs/NAME.md: one page'
	@echo 'make exits             end worker processes in every way, on a busy machine'
	@echo 'make wheel-test        only: does the built wheel work in an empty environment'
	@echo 'make lint format format-check typecheck'
	@echo 'make types             what users see: their code under mypy and pyright, and how much of ours is typed'
	@echo 'make dist              sdist and wheel as they are published, in dist/'
	@echo 'make lock              pin anew what the image of the worker has; make sbom lists it, in dist/'
	@echo 'make docs              the documentation as a site, in site/'
	@echo 'make docs-publish VERSION=0.1   the same as that version of it, on the branch gh-pages'
	@echo 'make ci                what CI runs'
	@echo 'make clean             remove the environment and whatever was built'

demo: $(VENV)/.demo
	@$(BIN)/python -m examples.content_approval.demo $(ARGS)

demo-crash: $(VENV)/.demo
	@$(BIN)/python -m examples.content_approval.demo --crash $(ARGS)

server: $(VENV)/.demo
	@$(BIN)/agent-framework-temporal-dev-server --database .temporal/threads.db $(ARGS)

# Four processes, each with a Temporal server of its own: most tests wait most of the time, for a server or a worker.
# Each begins with a part of its own, so that tests of one file share what they start, and takes from the others' when it
# is done.
test: $(VENV)/.test
	$(BIN)/python -m pytest -n 4 --dist worksteal $(ARGS)

# For the loop of work.
test-quick: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/architecture tests/replay tests/unit $(ARGS)

# What depends on the framework, against another version of it, in an environment of its own.
CORE_BIN = $(VENV)-core-$(CORE)/bin
test-core:
	@test -n "$(CORE)" || { echo 'Say which agent-framework-core: make test-core CORE=1.23.0' >&2; exit 1; }
	test -x $(CORE_BIN)/python || $(PYTHON) -m venv $(VENV)-core-$(CORE)
	$(CORE_BIN)/python $(INSTALL_ARGS) --editable '.[test]' 'agent-framework-core==$(CORE)'
	$(CORE_BIN)/python -m pytest -n 2 --dist worksteal tests/unit tests/parity tests/replay $(ARGS)

# The oldest and the newest that the declared range admits, where `make test` has not run against them already.
test-cores: $(VENV)/.test
	@for core in $$($(BIN)/python -m tests.packaging.cores); do \
		$(MAKE) --no-print-directory test-core CORE=$$core || exit 1; done

# The other Pythons that pyproject.toml names, in environments of their own. uv, as pip takes a minute of CPU for each.
# Whole: make test VENV=.venv-3.13 PYTHON=python3.13
test-pythons: $(VENV)/.test $(VENV)/.release
	@$(BIN)/python -m tests.packaging.pythons $(ARGS)

soak: export SOAK_SUPERSTEPS ?= 10000
soak: $(VENV)/.test
	$(BIN)/python -m pytest tests/soak $(ARGS)

bench: $(VENV)/.test
	@$(BIN)/python -m benchmarks $(ARGS)

# Hostile signals against a run that waits and one that runs; the suite sends fewer. Says what it measured.
flood: $(VENV)/.test
	FLOOD_SIGNALS=10000 $(BIN)/python -m pytest tests/requests/test_flood.py
	FLOOD_SIGNALS=30000 $(BIN)/python -m pytest tests/requests/test_flood.py -k unpaced

# Fuzzing with more inputs, floods, forged starts, rogue workers, injections; each section of SECURITY.md, with a figure.
# What `make test` runs of it is its short form.
hostile: $(VENV)/.test
	$(BIN)/python -m tests.hostile $(ARGS)

# Needs `chromium` on the machine, and takes the rest from PyPI.
devui-test: $(VENV)/.test
	@command -v chromium >/dev/null || { echo 'Install chromium first, for instance: apt-get install chromium' >&2; exit 1; }
	$(INSTALL) --editable '.[devui,test]'
	$(BIN)/python -m pytest tests/devui $(ARGS)

# Builds the console's page into adapter/http/assets, which is checked in: it needs Node 20, which nothing else does.
console-assets:
	@command -v npm >/dev/null || { echo 'Install Node 20 or newer first' >&2; exit 1; }
	cd adapter/http/page && npm ci --ignore-scripts --no-audit --no-fund && npm run --silent check && npm run --silent build

# The console's tests with a thread of 10,000 events; the suite's has fewer. Needs `chromium` on the machine.
console-long: $(VENV)/.test
	CONSOLE_EVENTS=10000 $(BIN)/python -m pytest tests/console $(ARGS)

# Workers and servers killed at random; the documentation's figures: ARGS='--worker-kills 240 --server-kills 24'.
chaos: $(VENV)/.test
	$(BIN)/python -m tests.chaos $(ARGS)

# The whole gallery with each executor on a queue of its own, and a worker that is absent for a minute.
placement: $(VENV)/.test
	PLACEMENT=all $(BIN)/python -m pytest tests/placement $(ARGS)

# A worker killed in each call of each orchestration; the suite takes four calls of each.
crash-points: $(VENV)/.test
	CRASH_POINTS=all $(BIN)/python -m pytest tests/journal/test_killed_workers.py $(ARGS)

# A clone of what is committed, a new home, terminals: needs the ports 7233, 8233 and 8234, and a package index. No
# environment of this checkout: a newcomer has none.
newcomer:
	@$(PYTHON) -m tests.newcomer $(ARGS)

# Processes that end while much of the machine is busy, four times as often as in the suite, beside twice the load.
exits: $(VENV)/.test
	EXITS=40 BUSY=2 $(BIN)/python -m pytest tests/exits $(ARGS)

wheel-test: $(VENV)/.test
	$(BIN)/python -m pytest tests/packaging $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .

format: $(VENV)/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

format-check: $(VENV)/.test
	$(BIN)/ruff format --check .

typecheck: $(VENV)/.test
	$(BIN)/mypy -p agent_framework_temporal -p tests -p examples -p benchmarks

# A project of a user, checked against the wheel, by mypy and by pyright; and the share of our names whose type is known.
types: $(VENV)/.test
	$(BIN)/python -m pytest tests/typing $(ARGS)

# As they are published; REPOSITORY_URL is where the README's links lead.
dist: $(VENV)/.test
	@$(BIN)/python -m tests.packaging.dist dist

LOCK := pip compile --quiet --universal --python-version 3.12 --generate-hashes --no-annotate --no-emit-index-url
lock: export UV_CUSTOM_COMPILE_COMMAND = make lock
lock: $(VENV)/.release
	cd deploy/requirements && $(abspath $(BIN))/uv $(LOCK) $(ARGS) ../../pyproject.toml worker.in --output-file worker.txt
	cd deploy/requirements && $(abspath $(BIN))/uv $(LOCK) $(ARGS) build.in --output-file build.txt

# What is in the worker's image, by its pins.
sbom: $(VENV)/.release
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements --output-reproducible --output-format JSON --output-file dist/worker.cdx.json \
		--validate deploy/requirements/worker.txt

# Fails on a link that leads nowhere. Not with --quiet: what is not logged is not counted, and nothing is strict.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# Commits to the branch gh-pages; pushing it is the release's. VERSION is that of the release, its patch number left out.
docs-publish: $(VENV)/.docs
	@test -n "$(VERSION)" || { echo 'Say of which release: make docs-publish VERSION=0.1' >&2; exit 2; }
	NO_MKDOCS_2_WARNING=1 $(BIN)/mike deploy --update-aliases --alias-type copy $(VERSION) latest
	$(BIN)/mike set-default latest

# `test` has the wheel test in it.
ci:
	.ci/run

clean:
	rm -rf $(VENV) $(VENV)-core-* $(VENV)-3.* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo 'No Python 3.11 or newer found. Install one, or say where: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'This project needs Python 3.11 or newer, and $(PYTHON) is not. Say where one is: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# An editable installation that type checkers understand links each file, so it has to be made anew when files come and
# go. This file changes only then.
$(VENV)/.files: $(VENV)/.created FORCE
	@new=$@.$$$$; find $(PACKAGE) -name '*.py' | sort > $$new; \
		if cmp -s $$new $@; then rm $$new; else mv $$new $@; fi

$(VENV)/.demo: pyproject.toml $(VENV)/.files
	$(INSTALL) --editable '.[demo]'
	@touch $@

# Has all that the demo needs.
$(VENV)/.test: pyproject.toml $(VENV)/.files
	$(INSTALL) --editable '.[test]'
	@touch $@ $(VENV)/.demo

$(VENV)/.release: pyproject.toml $(VENV)/.created
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'cyclonedx-bom>=7' 'uv>=0.9'
	@touch $@

$(VENV)/.docs: pyproject.toml $(VENV)/.files
	$(INSTALL) --editable '.[docs]'
	@touch $@
