# Everything a learner or a developer types. `make` alone prints this help.
# Variables: PYTHON (the interpreter to build the environment with), LAB_ARGS (passed to JupyterLab),
# INBOX (a folder of hand-ins to collect before grading), NAME and TITLE (of a lesson), SITE_ARGS
# (passed to tools/static_site), PYTEST_ARGS (passed to pytest last: "-n 0" runs one test after
# the other).

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
SOURCES := pyproject.toml setup.py fedcore/_kernels.pyx $(wildcard fedcore/_*.pxi fedcore/_*.h)
PARALLEL := -n auto --dist loadgroup --no-loadscope-reorder
ROOT    := $(if $(filter 0,$(shell id -u)),--allow-root)

FIND_PYTHON := command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON) here. Install Python 3.10 or newer, \
  or say what yours is called: make lab PYTHON=python3.12"; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help lab test check lesson compiled test-flower federation lint format hooks \
        new-lesson new-exercise exercises grade figures glossary outputs site bench binder feel table1 clean

help:
	@echo "make lab      set up and open the course in JupyterLab"
	@echo "make test     set up and run every test, notebooks included"
	@echo "make check    the same without the slow tests (under two minutes on two cores)"
	@echo "make lesson   test one lesson alone: NAME=02_fedavg"
	@echo "make federation  server and four clients as separate processes, on Flower (minutes)"
	@echo "make test-flower  run only the tests that need Flower (minutes)"
	@echo "make lint     check style, notebooks, quizzes, spelling   make format   fix most of it"
	@echo "make hooks    check the same before each commit, by pre-commit"
	@echo "make new-lesson    begin a lesson: NAME=08_topic TITLE='Its title'"
	@echo "make new-exercise  begin an exercise: NAME=08_topic"
	@echo "make exercises  release solutions/ as exercises/, without the answers"
	@echo "make grade    grade submitted/ (INBOX=FOLDER collects files first): gradebook, feedback, CSV"
	@echo "make bench    time the compiled core against its peers on this machine (minutes)"
	@echo "make feel     time the live panels in a browser: first change, whole curve (minutes)"
	@echo "make binder   run the course as Binder does, measure memory and start-up (minutes; Linux)"
	@echo "make table1   reproduce Table 1 of McMahan et al. 2017 (minutes)"
	@echo "make figures  redraw the pictures of the README"
	@echo "make glossary make the glossary's notebook from fedcore/lab/glossary.json"
	@echo "make outputs  run the notebooks and store their outputs"
	@echo "make site     build the course as static pages, to be read without a kernel (minutes)"
	@echo "make clean    remove the environment and everything that was built"

lab: $(VENV)/.course
	@if ! [ -w "$$HOME" ]; then export HOME="$(CURDIR)/$(VENV)/home"; mkdir -p "$$HOME"; \
	  echo "Your home folder can't be written: settings and points go to $(VENV)/home."; fi; \
	$(BIN)/jupyter lab --ServerApp.root_dir=. $(ROOT) \
	  --LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb $(LAB_ARGS)

test: lint compiled
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

check: lint compiled
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" $(PYTEST_ARGS)

lesson: $(VENV)/.test
	$(BIN)/python tools/check_lesson.py "$(NAME)" $(PARALLEL) $(PYTEST_ARGS)

compiled: $(VENV)/.test
	@$(BIN)/python -c "import fedcore, sys; sys.exit(None if fedcore.info()['compiled'] else \
	  'the tests need the compiled core: install a C compiler, then make clean test')"

federation: $(VENV)/.flower
	$(BIN)/python tools/federation.py $(ARGS)

test-flower: $(VENV)/.test
	$(BIN)/python -m pytest tests/test_flower*.py $(PYTEST_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/tidy_notebooks.py --check
	$(BIN)/python tools/check_quizzes.py
	$(BIN)/python tools/check_spelling.py

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tools/tidy_notebooks.py

hooks: $(VENV)/.test
	$(BIN)/pre-commit install

new-lesson: $(VENV)/.test
	@$(BIN)/python tools/new_lesson.py "$(NAME)" "$(TITLE)"

new-exercise: $(VENV)/.test
	@$(BIN)/python tools/new_exercise.py "$(NAME)" "$(TITLE)"

exercises: $(VENV)/.course
	$(BIN)/python tools/make_exercises.py

grade: $(VENV)/.course
	$(BIN)/python -m fedcore.grading $(if $(INBOX),"$(INBOX)")

bench: $(VENV)/.test
	$(BIN)/python benchmarks/bench.py $(BENCH_ARGS)

feel: $(VENV)/.test
	$(BIN)/python benchmarks/feel.py $(FEEL_ARGS)

binder: $(VENV)/.test
	$(BIN)/python tools/binder.py $(BINDER_ARGS)

table1: $(VENV)/.test
	$(BIN)/python benchmarks/table1.py

glossary: $(VENV)/.course
	$(BIN)/python tools/make_glossary.py
	$(BIN)/python tools/run_notebooks.py notebooks/glossary.ipynb

outputs: $(VENV)/.course
	$(BIN)/python tools/run_notebooks.py

site: $(VENV)/.site
	$(BIN)/python -m tools.static_site $(SITE_ARGS)

figures: $(VENV)/.course
	$(BIN)/python tools/make_figures.py

clean:
	rm -rf $(VENV) build dist *.egg-info fedcore/*.so fedcore/_kernels.c .pytest_cache .ruff_cache

# The stamps say which sources an environment was built from: nothing is redone while they are newer.
$(VENV)/.course: $(SOURCES)
	@$(FIND_PYTHON)
	@"$(PYTHON)" tools/environment.py $(VENV) course
	@touch $@

$(VENV)/.site: $(SOURCES)
	@$(FIND_PYTHON)
	@"$(PYTHON)" tools/environment.py $(VENV) course,site
	@touch $@ $(VENV)/.course

$(VENV)/.test: $(SOURCES)
	@$(FIND_PYTHON)
	@"$(PYTHON)" tools/environment.py $(VENV) course,test,flower
	@touch $@ $(VENV)/.course $(VENV)/.flower

# Together with the course: by itself Flower would leave versions that the rest can't use.
$(VENV)/.flower: $(SOURCES)
	@$(FIND_PYTHON)
	@"$(PYTHON)" tools/environment.py $(VENV) course,flower
	@touch $@ $(VENV)/.course
