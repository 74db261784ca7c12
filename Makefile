# `make demo` and `make test` set everything up. The environment in .venv is reused while
# pyproject.toml and constraints.txt are unchanged (the stamp carries their digest).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DIGEST := $(shell cat pyproject.toml constraints.txt | sha256sum | cut -c1-16)
RUN    := $(VENV)/.run-$(DIGEST)
DEV    := $(VENV)/.dev-$(DIGEST)
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install -c constraints.txt
OUT    ?= medtransfer-demo

.PHONY: demo test test-all soak check format bench docs lock audit sbom licences clean

demo: $(RUN)            ## a small study on synthetic images, from images to a report
	$(BIN)/medtransfer demo --out $(OUT)

test: $(DEV)            ## the suite: under 8 minutes on 2 cores
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: $(DEV)        ## the suite with the slow tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

# each part runs one whole: every operation, all random kills, thousands of examples
SOAK_races     := tests/runs/test_lease.py
SOAK_kills     := tests/study/test_kill_anywhere.py tests/cli/test_signals_in_phases.py
SOAK_damage    := tests/integrity
SOAK_injection := tests/study/test_injection.py
SOAK_fuzz      := tests/study/test_fuzz.py tests/tables/test_fuzz.py
SOAK_coverage  := tests/statistics/test_coverage.py tests/posthoc/test_conformal_coverage.py

soak: $(DEV)            ## PART=races|kills|damage|injection|fuzz|coverage: that part of the tests, whole
	@test -n "$(SOAK_$(PART))" || { echo "PART is one of races kills damage injection fuzz coverage"; exit 2; }
	SOAK=1 $(BIN)/python -m pytest -n 2 $(SOAK_$(PART))

check: $(DEV)           ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(DEV)          ## apply the formatter and safe lint fixes
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(DEV)           ## every benchmark, full length
	$(PIP) -e '.[bench]'
	set -e; for script in benchmarks/*.py; do $(BIN)/python $$script; done

docs: $(DEV)            ## the documentation as HTML, warnings as errors, with reports for its gallery
	$(BIN)/python docs/generate.py
	$(BIN)/sphinx-build -W -q -b html docs docs/_build
	$(BIN)/python docs/gallery.py docs/_build

lock: $(RUN)            ## requirements.lock: versions and hashes, for the index that pip uses here
	$(BIN)/python supply/lock.py requirements.lock

licences: $(RUN)        ## licences of all that is installed with the product
	PYTHONPATH=. $(BIN)/python supply/licences.py

# their own environment: what they bring is no part of the product's list
$(VENV)/supply/bin/cyclonedx-py:
	$(PYTHON) -m venv $(VENV)/supply
	$(VENV)/supply/bin/python -m pip --disable-pip-version-check --quiet install pip-audit cyclonedx-bom

audit: $(RUN) $(VENV)/supply/bin/cyclonedx-py   ## known vulnerabilities; fails where the database is out of reach
	$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/supply/installed.txt
	$(VENV)/supply/bin/pip-audit --strict --no-deps --disable-pip -r $(VENV)/supply/installed.txt || { echo "make audit: see above. Where a package could not be audited, the vulnerability database is out of reach from here."; exit 1; }

sbom: $(RUN) $(VENV)/supply/bin/cyclonedx-py    ## sbom.cdx.json: the installed packages, in CycloneDX
	$(VENV)/supply/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o sbom.cdx.json $(BIN)/python
	@echo "sbom.cdx.json written"

clean:
	rm -rf $(VENV) docs/_build

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first and by its exact version: a range would fetch a newer, larger build; stamps of other
# versions go, since they no longer describe the environment
$(RUN): | $(VENV)/bin/python
	@echo "Setting up $(VENV) (a few minutes the first time)"
	@rm -f $(VENV)/.run-* $(VENV)/.dev-*
	$(PIP) $(shell grep -E '^(torch|torchvision)==' constraints.txt)
	$(PIP) -e '.[weights]'
	touch $@

$(DEV): $(RUN)
	$(PIP) -e '.[weights,dev]'
	touch $@
