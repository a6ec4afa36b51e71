# Two commands matter: `make demo` and `make test`. Another interpreter: make PY=python3.12 VENV=.venv312 test
PY ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
RUN = $(VENV)/.installed
DEV = $(VENV)/.installed-dev

.PHONY: install demo test check sim night chaos fuzz bench bombs serve docs clean
install: $(RUN)
$(RUN): requirements.lock pyproject.toml scripts/install
	@scripts/install $(VENV) $(PY) requirements.lock
	@touch $@
$(DEV): requirements-dev.lock pyproject.toml scripts/install
	@scripts/install $(VENV) $(PY) requirements-dev.lock
	@touch $(DEV) $(RUN)

demo: $(RUN)
	@$(BIN)/python examples/demo.py
serve: $(RUN)
	@$(BIN)/agentstead serve
test: $(DEV)
	@scripts/test $(BIN)
check: $(DEV)
	@scripts/check $(BIN)
sim: $(DEV)
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),)
night: $(DEV)
	@$(BIN)/python -m tests.simulation --seeds $(or $(SEEDS),10000) --keep
chaos: $(DEV)
	@$(BIN)/agentstead chaos run --minutes $(or $(MINUTES),3) $(if $(SEED),--seed $(SEED),)
fuzz: $(DEV)
	@AGENTSTEAD_TEST_FUZZ=$(or $(TIMES),30) scripts/test $(BIN) tests/fuzz
bench: $(DEV)
	@$(BIN)/python -m bench
bombs: $(DEV)
	@$(BIN)/python -m bench.bombs --check
docs: $(DEV)
	@$(BIN)/python scripts/docs.py
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis .import_linter_cache
