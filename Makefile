# The commands of this project. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.PHONY: help setup build demo example docs test test-vm test-image torture faults lint bench bench-halibut bench-scripts \
    bench-sandbox fuzz sanitize deb tarball rpm clean

BIN := $(CURDIR)/.build/bin

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

setup: ## installs the Debian packages that are missing
	@scripts/setup

build: setup ## release programs in .build/bin: static Swift runtime, fully static launcher
	@scripts/build "$(BIN)"

demo: build ## server, two agents, a deployment, its log on this terminal (KEEP=1 leaves it running)
	@scripts/demo "$(BIN)"

example: setup ## what a user of the Halibut library writes: services, calls, a file upload
	@scripts/example

docs: setup ## the documentation of the Halibut library, in .build/docs
	@scripts/docs

test: build ## builds and runs every test this machine can run, and names what it skips
	@scripts/test "$(BIN)"

test-vm: build ## installs the package in an emulated machine and tests it under its systemd (VM_TESTS="kills security" runs some)
	@scripts/test-vm "$(BIN)"

test-image: build ## builds the container image with podman and tests it (IMAGE_TESTS="listening worker" runs some)
	@scripts/test-image "$(BIN)"

torture: setup ## kills agents and launchers at random points (KILLS=600, SEED=number)
	@TENTACLE_TORTURE_KILLS="$${KILLS:-600}" TENTACLE_TORTURE_SEED="$${SEED:-}" \
	    swift test --disable-xctest --filter TortureTests

faults: setup ## fails every file-changing call of launcher, agent and command line, in every way
	@TENTACLE_EVERY_FAULT=1 swift test --disable-xctest --filter 'LauncherFault|ServiceFault|ConfigurationFault|DaemonFault'

lint: setup ## formatter and shell linters
	@swift format lint --strict --parallel --recursive Package.swift Sources Tests Benchmarks Examples Fuzz
	shellcheck -x scripts/* .ci/run $$(grep -rlE '^#!.*(bash|sh)$$' packaging Tests/VM 2>/dev/null || true)

bench: build ## one line a figure: figure, value, unit, reference, reference value, ratio
	@scripts/bench "$(BIN)"

bench-halibut: build ## the same for the wire; FIGURES="rpc upload" runs only some
	@scripts/bench-halibut $(FIGURES)

bench-scripts: build ## the same for scripts, on an idle machine; FIGURES="start log" runs only some
	@scripts/bench-scripts "$(BIN)" $(FIGURES)

bench-sandbox: build ## what a sandbox adds to a start, beside bubblewrap; LEVELS="executor program script" runs only some
	@scripts/bench-sandbox "$(BIN)" $(LEVELS)

fuzz: setup ## fuzz targets with AddressSanitizer, SECONDS=60 in all; TARGETS="FuzzBSON FuzzFrames" runs only some
	@scripts/fuzz "$(or $(SECONDS),60)" $(TARGETS)

sanitize: setup ## tests of the wire under ThreadSanitizer and under AddressSanitizer
	@scripts/sanitize

deb: build ## the Debian package, in .build/packages
	@packaging/deb/build --binaries "$(BIN)"

tarball: build ## the same programs as an archive for /opt/octopus, in .build/packages
	@packaging/tarball/build "$$(packaging/deb/build --binaries "$(BIN)")"

rpm: build ## the same package for rpm, in .build/packages
	@packaging/rpm/build "$$(packaging/deb/build --binaries "$(BIN)")"

clean: ## removes what was built
	rm -rf .build
