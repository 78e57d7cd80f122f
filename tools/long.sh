#!/bin/sh
# What is too long for CI; run before an issue is closed.
#
# TFN_HISTORIES  random histories per property test (100,000)
# FUZZ_SECONDS   seconds of fuzzing per target (300)
# TFN_REQUESTS   requests to a server that says what it leaked (1,000,000)
set -eu
cd "$(dirname "$0")/.."

tools/lint.sh deep
TFN_HISTORIES=${TFN_HISTORIES:-100000} tools/ctest.sh asan --suite prop --timeout-multiplier 20
TFN_FAULT_STEP=1 tools/ctest.sh asan --suite fault registry
FUZZ_SECONDS=${FUZZ_SECONDS:-300} tools/fuzz.sh
TFN_REQUESTS=${TFN_REQUESTS:-1000000} tools/sanitized.sh asan
tools/install.sh

# PyTorch is large (5.6 GB with the CUDA libraries that it asks for): a folder of its own.
torch=.venv/share/torch
now=$(cksum <tools/requirements/long.txt)
if [ "$(cat .venv/.stamp-long 2>/dev/null)" != "$now" ]; then
    rm -rf "$torch"
    .venv/bin/python -m pip --disable-pip-version-check install --quiet --target "$torch" \
        --requirement tools/requirements/long.txt </dev/null
    echo "$now" >.venv/.stamp-long
fi
PYTHONPATH=$torch TFN_HISTORIES=${TFN_HISTORIES:-100000} .venv/bin/python -m pytest -q -m long
