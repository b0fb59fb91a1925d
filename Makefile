# Thin: each target is one line of a command that also works by hand.
PYTHON ?= python3
BIN := .venv/bin
.PHONY: setup demo canvas test fast bench lint

setup:   ## .venv, torch, this pack and a ComfyUI; the second time in under a second
	@$(PYTHON) scripts/bootstrap.py

demo: setup   ## the shipped model draws, a judge scores and keeps the best; without a browser and without a download of weights
	@$(BIN)/aigc run workflows/best_of.json --output output/demo

canvas: setup   ## ComfyUI with this pack, in the browser
	@$(BIN)/aigc canvas

test:   ## everything, in two workers; a skipped host or browser test fails the run
	@$(PYTHON) scripts/bootstrap.py --tests && AIGC_NO_SKIPS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

fast: setup   ## what needs neither a host nor a browser
	@$(BIN)/pytest -m "not host and not browser and not slow" $(ARGS)

bench: setup   ## what we measure, each against a named peer
	@$(BIN)/python -m benchmarks $(ARGS)

lint: setup   ## style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright
