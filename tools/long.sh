#!/bin/sh
# What is too long for CI; run before an issue is closed.
#
# TFN_HISTORIES  random histories per property test (100,000)
# FUZZ_SECONDS   seconds of fuzzing per target (300)
set -eu
cd "$(dirname "$0")/.."

TFN_HISTORIES=${TFN_HISTORIES:-100000} tools/ctest.sh asan --suite prop --timeout-multiplier 20
FUZZ_SECONDS=${FUZZ_SECONDS:-300} tools/fuzz.sh
tools/install.sh
TFN_HISTORIES=${TFN_HISTORIES:-100000} .venv/bin/python -m pytest -q -m long
