# `make demo` and `make test` need nothing but Python 3.11 or 3.12.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/demo
COUNT ?= 5000
SEED ?= 1
MINUTES ?= 30

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz soak lint tensorboard bench clean

help: ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | \
	  awk -F '\t' '{printf "  make %-12s %s\n", $$1, $$2}'

$(BIN)/activate:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 11), (3, 12)) else f"Python 3.11 or 3.12 is needed, this is {v[0]}.{v[1]}; choose one with make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# A stamp a file, so that a changed pin is installed again.
$(VENV)/installed: requirements.txt | $(BIN)/activate
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/installed-test: requirements-test.txt $(VENV)/installed
	$(BIN)/python -m pip install --quiet -r requirements-test.txt
	touch $@

demo: $(VENV)/installed ## trains, evaluates and predicts on synthetic streets, no data needed
	$(BIN)/python launch/train.py --config=configs/demo.py --workdir=runs/demo
	$(BIN)/python launch/evaluate.py --workdir=runs/demo
	$(BIN)/python launch/prepare.py --dataset=synthetic:128x256x8x8 --splits=val --to=cityscapes --output=runs/demo/scenes
	$(BIN)/python launch/predict.py --workdir=runs/demo --input=runs/demo/scenes/leftImg8bit/val/synthetic --output=runs/demo/predictions --format=overlay,color
	@echo
	@echo "Pictures: runs/demo/predictions   figures: runs/demo/metrics.jsonl, runs/demo/evaluation"
	@echo "Curves:   make tensorboard"

test: $(VENV)/installed-test ## the whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

fuzz: $(VENV)/installed-test ## COUNT (default: 5000) damaged files for all that reads files, drawn by SEED
	FUZZ_COUNT=$(COUNT) FUZZ_SEED=$(SEED) $(BIN)/python -m pytest tests/fuzz/test_mutated_files.py

soak: $(VENV)/installed-test ## MINUTES (default: 30) of a run that is killed, starved and damaged all the time
	$(BIN)/python tests/soak.py --minutes=$(MINUTES) --seed=$(SEED)

lint: $(VENV)/installed-test ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

tensorboard: $(VENV)/installed ## curves and pictures of RUN (default: runs/demo) in a browser
	$(BIN)/tensorboard --logdir $(RUN)

bench: $(VENV)/installed ## speed of the input pipeline on this machine
	$(BIN)/python launch/benchmark.py --what=input

clean: ## removes the environment; runs stay
	rm -rf $(VENV) .pytest_cache .ruff_cache
