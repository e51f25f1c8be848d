# make run    the pipeline on the simulated cohort          make test   the tests
# make quick  the same with 300 people, to try a change
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# envs/requirements-cuda12.lock for NVIDIA drivers older than 580
LOCK ?= envs/requirements.lock
PIP = $(BIN)/pip install --quiet --disable-pip-version-check --constraint $(LOCK)

.PHONY: run quick rows test faults mutants check docs benchmark benchmark-run clean

# Small trainings are fastest in parallel with few threads each, also on a GPU. Large cohorts should
# use one GPU per training.
CORES = $(shell getconf _NPROCESSORS_ONLN)
THREADS = $(shell expr '(' $(CORES) + 3 ')' / 4)

# Losses and objectives of your own are imported from this folder.
SNAKEMAKE = PATH="$(CURDIR)/$(BIN):$$PATH" PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}" \
  snakemake --cores all --resources gpu=4 \
  --set-threads train=$(THREADS) embed=$(THREADS)

run: $(VENV)/.run
	$(SNAKEMAKE)
	@echo "Report: $(CURDIR)/results/report.html"

# the same pipeline in a few minutes, in a folder of its own; it learns little. WITH names files with
# other settings: make quick WITH=my_change.yaml
quick: $(VENV)/.run
	$(SNAKEMAKE) --directory quick-run \
	  --configfile $(abspath workflow/config/quick.yaml $(WITH))
	@echo "Report: $(CURDIR)/quick-run/results/report.html"

# like run, with every row of both tables: a quarter of an hour more
rows: $(VENV)/.run
	$(SNAKEMAKE) --configfile workflow/config/rows.yaml
	@echo "Report: $(CURDIR)/results/report.html"

# Tests run next to each other, and small matrix products in several threads would wait for them.
test: $(VENV)/.test $(VENV)/.dx
	sh tests/system.sh
	PATH="$(CURDIR)/$(BIN):$$PATH" OPENBLAS_NUM_THREADS=1 pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# tests marked slow: the long campaign of faults (kills at random times, a full disk as root, a
# memory limit, a platform that takes its worker away), the container's steps in a clean Debian, and
# real compilation
faults: $(VENV)/.test $(VENV)/.dx
	sh tests/system.sh
	PATH="$(CURDIR)/$(BIN):$$PATH" pytest -m slow

# Mutation testing: find changes of the code that no test notices. For example:
# make mutants ONLY="ecg cmr.crop" SAMPLE=60. AGAIN=1 tests the survivors again, after new tests.
# Results are kept in mutants/, so an interrupted call is resumed.
mutants: $(VENV)/.mutants
	PATH="$(CURDIR)/$(BIN):$$PATH" python tests/mutants.py $(if $(ONLY),--only $(ONLY)) \
	  $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(if $(AGAIN),--again)

# formatting, lint and types
check: $(VENV)/.test
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint

# the documentation as a site; warnings are errors
docs: $(VENV)/.docs
	PATH="$(CURDIR)/$(BIN):$$PATH" sphinx-build -q -E -n -W --keep-going -d docs/_build/trees docs docs/_build/html
	@echo "Documentation: $(CURDIR)/docs/_build/html/index.html"

# The contrastive methods on one simulated cohort per seed: about a quarter of an hour per cohort on
# two cores, and 14 GB of disk. After an interruption, the next call resumes it. TIMING is the level
# of simulation.timing. ROWS can name other rows, which then replace the tables of the runs, and
# SIZES a configuration with other sizes.
COHORTS ?= 1 2 3 4 5
TIMING ?= default
ROWS ?= workflow/config/benchmark.yaml
SIZES ?=
OF_TIMING = benchmark-run/$(TIMING)
PAIRS = \
  --pair "Centred PTACL" "PTACL" \
  --pair "Centred PTACL, whole ECG" "PTACL, whole ECG" \
  --pair "Centred PTACL, whole ECG and its phases" "PTACL, whole ECG and its phases" \
  --pair "Centred PTACL, whole ECG and its phases" "Global, whole ECG and its phases" \
  --pair "Centred PTACL, whole ECG and its phases" "PTACL, whole ECG" \
  --pair "PTACL, whole ECG and its phases" "PTACL, whole ECG" \
  --pair "PTACL, whole ECG + heart rate" "PTACL, whole ECG" \
  --pair "Global, whole ECG + demographics" "MAE, whole ECG + demographics" \
  --pair "PTACL, whole ECG + demographics" "Global, whole ECG + demographics" \
  --pair "Centred PTACL, whole ECG + demographics" "Global, whole ECG + demographics" \
  --pair "Global, predicted phenotypes" "Global, whole ECG" \
  --pair "Global, predicted phenotypes" "MAE, predicted phenotypes" \
  --pair "PTACL, predicted phenotypes" "Global, predicted phenotypes" \
  --pair "MAE, whole ECG" "MAE" --pair "Global, whole ECG" "Global" --pair "PTACL, whole ECG" "PTACL"
benchmark-run: $(VENV)/.run
	for seed in $(COHORTS); do \
	  mkdir -p $(OF_TIMING)/$$seed && $(SNAKEMAKE) --directory $(OF_TIMING)/$$seed --rerun-incomplete \
	    --configfile $(ROWS) $(SIZES) \
	    --config seed=$$seed "seeds=[$$seed]" "simulation={timing: $(TIMING)}" || exit 1; \
	done
	$(BIN)/python benchmarks/cohorts.py $(COHORTS:%=$(OF_TIMING)/%) $(PAIRS) --keep $(OF_TIMING)/kept --out $(OF_TIMING)/$(notdir $(lastword $(ROWS:.yaml=.csv)))

benchmark: $(VENV)/.test
	PATH="$(CURDIR)/$(BIN):$$PATH" python benchmarks

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed; name one with make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.run: $(VENV)/.python pyproject.toml $(LOCK)
	$(PIP) --editable .
	touch $@

$(VENV)/.test: $(VENV)/.python pyproject.toml $(LOCK)
	$(PIP) --editable '.[test,slurm]'
	touch $@ $(VENV)/.run

# the client of UK Biobank's platform, for rehearsals; it needs other versions than the pipeline
DX_VERSION = 0.417.1
$(VENV)/.dx: $(VENV)/.python
	$(PYTHON) -m venv $(VENV)/dx
	$(VENV)/dx/bin/pip install --quiet --disable-pip-version-check dxpy==$(DX_VERSION)
	touch $@

$(VENV)/.mutants: $(VENV)/.test
	$(PIP) --editable '.[test,slurm,mutants]'
	touch $@

$(VENV)/.docs: $(VENV)/.python pyproject.toml $(LOCK)
	$(PIP) --editable '.[docs]'
	touch $@

clean:
	rm -rf .snakemake docs/_build
	find results -mindepth 1 ! -path results/README.md -delete
