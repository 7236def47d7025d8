# Everything a user needs in one word each. VENV may point to an environment of your own.
PYTHON  ?= python3
VENV    ?= .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.avcil-ready

DATASET ?= vggsound100
METHOD  ?= av-cil
VIDEOS  ?= videos/$(DATASET)
CACHE   ?= caches/$(DATASET)
OUT     ?= runs/$(METHOD)-$(DATASET)
ARGS    ?=

.PHONY: setup demo test test-fast lint extract run bench bench-gpu clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "avcil needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=24'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[extract,dev]'
	@touch $@

demo: $(READY)
	$(BIN)/python -m avcil.demo --out build/demo $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest $(ARGS)

test-fast: $(READY)
	$(BIN)/python -m pytest -m 'not slow' $(ARGS)

# mypy has to see the repository root under the package's name: a folder of links gives it that view.
ROOMS := __init__.py errors.py devices.py files.py options.py threads.py versions.py wording.py manifests cache extract incremental demo tests benchmarks
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p build/typing/avcil && cd build/typing/avcil && for room in $(ROOMS); do ln -sfn ../../../$$room $$room; done
	MYPYPATH=build/typing $(BIN)/mypy -p avcil

extract: $(READY)
	$(BIN)/avcil-extract run --dataset $(DATASET) --videos $(VIDEOS) --cache $(CACHE) $(ARGS)

run: $(READY)
	$(BIN)/avcil-incr run --method $(METHOD) --dataset $(DATASET) --cache $(CACHE) --out $(OUT) $(ARGS)

bench: $(READY)
	$(BIN)/python benchmarks/cache_reading.py
	$(BIN)/python benchmarks/extraction.py
	$(BIN)/python benchmarks/attention.py
	$(BIN)/python benchmarks/training.py --part step
	$(BIN)/python benchmarks/training.py --part run
	$(BIN)/python benchmarks/training.py --part profile

bench-gpu: $(READY)
	$(BIN)/python benchmarks/attention.py --device cuda
	$(BIN)/python benchmarks/training.py --device cuda --part step
	$(BIN)/python benchmarks/training.py --device cuda --part run
	$(BIN)/python benchmarks/training.py --device cuda --protocol ave
	$(BIN)/python benchmarks/training.py --device cuda --protocol ave --cuda-graphs
	$(BIN)/python benchmarks/training.py --device cuda --protocol vggsound100

clean:
	rm -rf $(VENV) build
