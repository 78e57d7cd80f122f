# Verbs only: what each one does is in tools/. The first run sets the machine up (tools/setup.sh).

MESON = .venv/bin/meson
# More workers than two cores, as tests often wait; those marked `alone` run one at a time (tests/conftest.py).
# Empty: one after the other.
PYTEST_WORKERS = --numprocesses 3 --dist loadfile --durations 15
export PATH := $(CURDIR)/.venv/bin:$(PATH)
.PHONY: help demo test lint fmt asan tsan fault fuzz-smoke bench long deps wheel clean
.DEFAULT_GOAL := help

help: ## say what the verbs do
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-11s %s\n", $$1, $$2 }'

demo: ## the flights example, from raw data to a checked online lookup
	@tools/setup.sh test
	@tools/install.sh
	@.venv/bin/python examples/flights/demo.py

test: ## C tests under ASan and UBSan, fuzz seeds replayed, then pytest
	@tools/setup.sh test peers
	@tools/ctest.sh asan
	@tools/install.sh
	@.venv/bin/python -m pytest -q -m 'not long' $(PYTEST_WORKERS) $(PYTEST_ARGS)

asan: ## C tests alone, under ASan and UBSan
	@tools/setup.sh test
	@tools/ctest.sh asan

tsan: ## threaded C tests, and a server under load, under TSan
	@tools/setup.sh test
	@TFN_HISTORIES=$${TFN_HISTORIES:-1000} tools/ctest.sh tsan --suite threads
	@TFN_REQUESTS=$${TFN_REQUESTS:-5000} tools/sanitized.sh tsan

fault: ## every allocation refused in turn
	@tools/setup.sh test
	@tools/ctest.sh asan --suite fault

fuzz-smoke: ## libFuzzer, 20 s per target (FUZZ_SECONDS)
	@tools/setup.sh test fuzz
	@tools/fuzz.sh

long: ## what is too long for CI: 100,000 histories, 5 minutes of fuzzing per target, Feast, slow pytest
	@tools/setup.sh test fuzz peers
	@tools/long.sh

lint: ## every static check
	@tools/setup.sh test lint
	@tools/lint.sh

fmt: ## rewrite C, Python and Meson files in the one format
	@tools/setup.sh lint
	@tools/fmt.sh

bench: ## peers side by side (BENCH_ARGS)
	@tools/setup.sh test peers
	@tools/install.sh
	@.venv/bin/python bench/run.py $(BENCH_ARGS)

deps: ## fetch the sources that the system does not package
	@tools/setup.sh
	@.venv/bin/python tools/deps.py

wheel: ## one abi3 wheel into dist/
	@tools/setup.sh
	@.venv/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist

clean: ## remove what was built (.venv stays)
	@rm -rf build dist subprojects/yyjson-*
