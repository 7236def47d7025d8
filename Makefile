# Everything a user needs in one word each. VENV may point to an environment of your own.
PYTHON  ?= python3
VENV    ?= .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.avcil-ready

DATASET ?= vggsound100
METHOD  ?= av-cil
TABLE   ?= table1
VIDEOS  ?= videos/$(DATASET)
CACHE   ?= caches/$(DATASET)
OUT     ?= runs/$(METHOD)-$(DATASET)
ARGS    ?=

.PHONY: setup demo test test-fast lint links types imports docs extract run reproduce bench bench-gpu torture clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "avcil needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=24'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[extract,report,dev]'
	@touch $@

demo: $(READY)
	$(BIN)/python -m avcil.demo --out build/demo $(ARGS)

# A process a core, which take tests over from one another. ARGS='-n 0' runs them in one, as a debugger needs it.
PYTEST := $(BIN)/python -m pytest -n auto --dist worksteal
test: $(READY)
	$(PYTEST) $(ARGS)

test-fast: $(READY)
	$(PYTEST) -m 'not slow' $(ARGS)

# Half an hour of kills, full disks, damage and hostile input. ARGS='--minutes 5 --seed 1' and the like.
torture: $(READY)
	$(BIN)/python -m avcil.tests.torture $(ARGS)

lint: $(READY) types imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy and the documentation have to see the repository root under the package's name: a folder of links gives them that.
PARTS := $(filter-out setup.py,$(wildcard *.py)) $(patsubst %/__init__.py,%,$(wildcard */__init__.py)) tests benchmarks docs
links:
	@mkdir -p build/links/avcil && cd build/links/avcil && for part in $(PARTS); do ln -sfn ../../../$$part $$part; done

types: $(READY) links
	MYPYPATH=build/links $(BIN)/mypy -p avcil

# Who may import whom: the contracts are in pyproject.toml.
imports: $(READY)
	$(BIN)/lint-imports --no-logo --cache-dir build/imports

# The site's own packages come when it is first built. Nothing is fetched while it is built or read.
DOCS_READY := $(VENV)/.avcil-docs-ready
$(DOCS_READY): $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

docs: $(DOCS_READY) links
	$(BIN)/python docs/commands.py
	$(BIN)/python docs/import_graph.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo 'the site is in build/site; to search it: $(BIN)/python -m http.server --directory build/site'

extract: $(READY)
	$(BIN)/avcil-extract run --dataset $(DATASET) --videos $(VIDEOS) --cache $(CACHE) $(ARGS)

run: $(READY)
	$(BIN)/avcil-incr run --method $(METHOD) --dataset $(DATASET) --cache $(CACHE) --out $(OUT) $(ARGS)

# A table or figure of the paper: make reproduce TABLE=table1 DATASET=ave ARGS='--seeds 3'
reproduce: OUT := $(if $(filter file,$(origin OUT)),reproduced,$(OUT))
reproduce: $(READY)
	$(BIN)/avcil-incr reproduce $(TABLE) --dataset $(DATASET) --cache $(CACHE) --out $(OUT) $(ARGS)

bench: $(READY)
	$(BIN)/python benchmarks/cache_reading.py
	$(BIN)/python benchmarks/first_reading.py
	$(BIN)/python benchmarks/decoders.py
	$(BIN)/python benchmarks/extraction.py
	$(BIN)/python benchmarks/cluster_plan.py
	$(BIN)/python benchmarks/attention.py
	$(BIN)/python benchmarks/small_clips.py
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
