# Everything here is python -m toolkit…, python -m course… or streamlit underneath: the README gives the commands
# for systems without make.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PEERS := .venv-peers
GRADES ?= grades
# One thread per kernel: two notebooks at once then do not fight over two cores.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help setup app lab test notebooks lessons release grade bench results load axe screenshots peers check clean

help:  ## List what there is to make
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/ready  ## Build .venv with everything that app, course and tests need (the first time takes minutes)

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "Python 3.11 or newer is needed; say which one to use: make setup PYTHON=python3.12"; exit 1; }
	@echo "Building $(VENV): a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --constraint constraints.txt --editable '.[app,deploy,language,speech,credit,cluster,lab,teacher,test]'
	@touch $@

app: setup  ## Open the app in the browser
	$(RUN) -m streamlit run app.py

lab: setup  ## Open JupyterLab on the released lessons
	$(RUN) -m course release --notebooks-only
	$(RUN) -m jupyterlab release

# Files are shared out to both cores.
test: setup  ## Run all tests: unit tests, the app's tests, and nbval over every notebook
	$(RUN) -m pytest -m "not browser" --numprocesses 2 --dist loadfile
	$(RUN) -m pytest -m browser --numprocesses 2 --dist loadfile
	$(MAKE) --no-print-directory notebooks

notebooks: setup  ## Run nbval alone: every lesson again, against its stored outputs
	$(ONE_THREAD) $(RUN) -m course nbval

lessons: setup  ## Build the notebooks from their sources, and run them
	$(RUN) -m course build

release: setup  ## Build what students get into release/: notebooks, and one archive
	$(RUN) -m course release

grade: setup  ## Mark a class: make grade SUBMISSIONS=folder [LESSON=…] [DEADLINE="2026-11-30 23:59"] [GRADES=grades]
	@test -n "$(SUBMISSIONS)" || { echo "Say where the submissions are: make grade SUBMISSIONS=folder"; exit 1; }
	$(RUN) -m course grade "$(SUBMISSIONS)" --grades "$(GRADES)" \
		$(foreach lesson,$(LESSON),--lesson $(lesson)) $(if $(DEADLINE),--deadline "$(DEADLINE)")

bench: setup  ## Measure, and write tables and figures into bench/results/
	@$(MAKE) --no-print-directory peers || echo "The peers could not be installed: the tables will say that they are missing."
	$(RUN) -m bench

results: setup  ## Train and measure every scene of the article anew (half an hour; a run that was stopped continues), and write the tables
	$(RUN) -m bench scenes

load: setup  ## Let thirty visitors use the app at once for five minutes, and measure how long it keeps them waiting
	$(RUN) -m bench load

peers: $(PEERS)/ready  ## Build .venv-peers with the libraries that the bench compares with

$(PEERS)/ready: bench/peers.txt bench/peers.py | setup
	$(RUN) -m bench.peers
	@touch $@

axe: .axe/node_modules/axe-core/axe.min.js  ## Fetch axe-core from npm, which the tests of accessibility use

.axe/node_modules/axe-core/axe.min.js:
	npm install --no-save --no-audit --no-fund --prefix .axe axe-core@4.14.1

screenshots: setup  ## Take the pictures of the READMEs, and of every page in docs/screenshots/
	$(RUN) -m bench.screenshots

check: setup  ## Format, lint, and check types
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy

clean:  ## Remove .venv, .venv-peers, .axe and release/ (grades/ stays; the cache of teachers: python -m toolkit cache --clear)
	rm -rf $(VENV) $(PEERS) .axe release
