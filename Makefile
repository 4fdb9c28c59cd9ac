# The whole daily life of the project. Every target first installs what is missing (scripts/bootstrap,
# scripts/venv): nothing when nothing is missing.
#
#   make build      the command line at build/release/bin/intact, the Python package in build/venv
#   make demo       the main job on a real model, from float to a verdict
#   make test       everything that CI runs; the last line says "N passed, N failed"
#   make sanitize   the whole suite of unit tests under the address, undefined-behaviour and thread sanitizers
#   make fuzz       libFuzzer on every reader, FUZZ_SECONDS each (default 600)
#   make lint       clang-format, clang-tidy, ruff, mypy
#   make format     rewrites the sources as clang-format and ruff want them
#   make bench      the kernels' benchmarks, as JSON in build/bench
#   make bench-peers  intact against ONNX Runtime, OpenVINO and LiteRT (bench/README.md); takes an hour
#   make wheel      dist/intact-*.whl
#   make install    into PREFIX (default /usr/local)
#   make clean      forgets the builds, keeps what was downloaded
SHELL := /bin/bash
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 600
PREFIX ?= /usr/local
NICE := nice -n 5
VENV := build/venv/bin
CMAKE_BUILD := $(NICE) cmake --build -j $(JOBS) --preset

.PHONY: help build demo test sanitize fuzz lint format bench bench-peers wheel install clean bootstrap venv
help:
	@sed -n 's/^#   make/  make/p' Makefile

bootstrap:
	@scripts/bootstrap
venv: bootstrap
	@scripts/venv

# CMake reconfigures by itself when its files change: only the first run, or a new interpreter, asks for it.
build/release/build.ninja: CMakePresets.json scripts/requirements.txt | bootstrap venv
	@mkdir -p build
	cmake --preset release -DINTACT_PYTHON=ON -DPython_EXECUTABLE=$(CURDIR)/$(VENV)/python >build/configure.log || { cat build/configure.log; exit 1; }
	@touch $@

build: bootstrap venv build/release/build.ninja
	$(CMAKE_BUILD) release

demo: build
	@demo/run

test: bootstrap venv
	@$(NICE) $(VENV)/python scripts/check.py --jobs $(JOBS)

sanitize: bootstrap venv
	@$(NICE) $(VENV)/python scripts/check.py --jobs $(JOBS) sanitize-all thread

fuzz: bootstrap venv
	@$(NICE) $(VENV)/python scripts/check.py --jobs $(JOBS) --fuzz-seconds $(FUZZ_SECONDS) fuzz

lint: build
	@$(NICE) $(VENV)/python scripts/check.py --jobs $(JOBS) format python-lint tidy

format: bootstrap venv
	git ls-files '*.cc' '*.h' | xargs clang-format-14 -i
	$(VENV)/ruff format . && $(VENV)/ruff check --fix .

bench: build
	$(CMAKE_BUILD) release --target intact_benches
	@mkdir -p build/bench
	@for b in build/release/intact_*_bench; do \
	  $$b --benchmark_min_time=0.02 --benchmark_out=build/bench/$$(basename $$b).json || exit; done

bench-peers: build
	$(VENV)/python bench/peers
	$(VENV)/python bench/peers --memory

wheel: bootstrap venv
	@$(NICE) scripts/wheel

install: build
	cmake --install build/release --prefix $(PREFIX)

clean:
	rm -rf build/release build/dev build/tsan build/aarch64 build/fuzz build/wheel build/consumer build/logs dist
