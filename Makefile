# Thin on purpose: the work is in scripts/. Every target may be run again at any time.
PYTHON ?= python3
VENV := .venv/bin
ready = @command -v $(PYTHON) >/dev/null || { \
	echo 'error: $(PYTHON) is not there: install Python 3.11 or newer, or set PYTHON=/path/to/python3' >&2; exit 1; }; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	"error: Python 3.11 or newer is needed, found " + sys.version.split()[0] + ": set PYTHON=/path/to/python3")' \
	&& $(PYTHON) scripts/packages.py

.PHONY: help up down images test test-unit test-gpu lint bench soak pictures dist clean

help:
	@echo 'make up         run the hub (BAI_PORT, BAI_STATE, BAI_CATALOG); Ctrl-C leaves sessions running'
	@echo 'make down       end the hub, its sessions and their network'
	@echo 'make images     build the session images that are out of date'
	@echo 'make test       all tests, against a real engine and a real browser'
	@echo 'make test-unit  the tests that need neither'
	@echo 'make test-gpu   whether caps hold: on a host with an idle NVIDIA GPU and MPS'
	@echo 'make lint       ruff and mypy'
	@echo 'make bench      measurements'
	@echo 'make soak       kill a hub under load at random moments, fifty times (ARGS="--rounds 20 --seed 8")'
	@echo 'make pictures   take the pictures of docs/ from the running product'
	@echo 'make dist       the package as a wheel and a source archive, in dist/'
	@echo 'make clean      remove packages, tools and caches; what a deployment knows stays'

up:
	$(ready) hub
	@exec $(VENV)/python scripts/up.py

down:
	$(ready) hub
	@$(VENV)/python scripts/down.py

images:
	$(ready) hub
	@$(VENV)/python scripts/images.py

test:
	$(ready) hub test
	@$(VENV)/python scripts/testbed.py $(VENV)/python scripts/run_tests.py $(ARGS)

test-unit:
	$(ready) hub test
	@$(VENV)/python -m pytest -n 2 --dist loadfile tests/unit tests/inside $(ARGS)

lint:
	$(ready) hub test
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy

test-gpu:
	$(ready) hub test
	@$(VENV)/python -m pytest tests/gpu $(ARGS)

bench:
	$(ready) hub test
	@$(VENV)/python scripts/testbed.py $(VENV)/python tests/perf/run.py $(ARGS)

soak:
	$(ready) hub test
	@$(VENV)/python scripts/testbed.py $(VENV)/python tests/faults/soak.py $(ARGS)

pictures:
	$(ready) hub test
	@$(VENV)/python scripts/testbed.py $(VENV)/python scripts/pictures.py $(ARGS)

dist:
	$(ready) hub
	@$(VENV)/python scripts/dist.py

clean:
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist \
		labextension/dist labextension/lib labextension/node_modules
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
