# Millpond. Needs python3.11 with its venv module, make and git; everything else is installed into .venv.

PYTHON ?= python3.11
EXECUTE ?= on
PORT ?= 8000
CELL_SECONDS ?= 900
TORCH := torch==2.14.1 torchvision==0.29.1
BIN := .venv/bin
READY := .venv/installed

# The number of threads decides the order of sums, hence last digits: it is the same everywhere.
export OMP_NUM_THREADS := 2
export OPENBLAS_NUM_THREADS := 2
export MKL_NUM_THREADS := 2
export NUMBA_NUM_THREADS := 2
export PYTHONHASHSEED := 0
# Threads that wait without spinning: on a busy machine a chapter takes seconds instead of minutes.
export OMP_WAIT_POLICY := PASSIVE
export CELL_SECONDS

.PHONY: help install book test browser notebooks serve bench lock clean
.DEFAULT_GOAL := help

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

$(READY): requirements.lock pyproject.toml
	@echo "Installing into .venv from requirements.lock. The first time this takes several minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install: $(READY) ## create .venv from the lock, nothing else

# A chapter that failed (status 3) is rendered with its committed outputs; only then make fails.
book: $(READY) ## execute the chapters that changed, render _build/html/index.html (EXECUTE=off: the committed outputs)
	@status=0; $(BIN)/python book/chapters.py stage --execute $(EXECUTE) || status=$$?; \
	[ $$status = 0 ] || [ $$status = 3 ] || exit $$status; \
	$(BIN)/jupyter-book build -q -W -n --keep-going _build/source --path-output . || { rm -rf _build/.doctrees; exit 1; }; \
	[ $$status = 0 ] || echo "The book is rendered, but chapters failed (named above); see _build/reports." >&2; exit $$status

test: $(READY) ## ruff, pytest (the pairs included), and nbval over all chapters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest --ignore tests/book/test_browser.py
	$(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout $(CELL_SECONDS) \
		--nbval-kernel-startup-timeout $(CELL_SECONDS) -o filterwarnings= -o addopts= -q notebooks

browser: $(READY) ## open every page of the rendered book in headless Chromium
	$(BIN)/python -m pytest tests/book/test_browser.py

notebooks: $(READY) ## make the .ipynb from the .py and execute those that changed (FORCE=1: all)
	$(BIN)/python book/chapters.py notebooks $(if $(FORCE),--force)

serve: $(READY) ## serve the rendered book on http://localhost:8000 (PORT=...)
	$(BIN)/python -m http.server --directory _build/html --bind localhost $(PORT)

bench: $(READY) ## run the benchmarks
	@for script in tests/bench/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

lock: ## pin the newest versions that pyproject.toml allows in requirements.lock
	@fresh=$$(mktemp -d) && trap 'rm -rf "$$fresh"' EXIT && \
	$(PYTHON) -m venv $$fresh && \
	$$fresh/bin/pip install --quiet $(TORCH) && \
	$$fresh/bin/pip install --quiet '.[download,book,test]' hatchling editables && \
	$$fresh/bin/pip freeze --exclude millpond > $$fresh/frozen && \
	{ printf '# Every version of the environment, made by `make lock` on %s. Do not edit.\n' "$$(date +%F)"; \
	  sed -E '/^(cuda|nvidia|triton)/ s/$$/ ; sys_platform == "linux" and platform_machine == "x86_64"/' $$fresh/frozen; \
	} > requirements.lock

clean: ## remove what was built; .venv stays
	rm -rf _build .pytest_cache .ruff_cache .hypothesis
