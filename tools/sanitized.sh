#!/bin/sh
# Load a server that is built with a sanitizer, from the tests that load the installed one.
#
# usage: tools/sanitized.sh asan|tsan [arguments of pytest]
#
# asan  says at the server's end what was leaked
# tsan  says which threads met without an order
#
# The clients are those of tests/integration/test_server_concurrency.py; the build is the one of
# tools/ctest.sh, which must have made it.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export PATH

flavour=$1
shift
program=src/server/tiffin-server
mkdir -p build
ninja -C "build/$flavour" "$program" >"build/$flavour-server.log" 2>&1 || {
    cat "build/$flavour-server.log" >&2
    exit 1
}
tools/install.sh

export TFN_SERVER="$PWD/build/$flavour/$program"
export ASAN_OPTIONS='detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1'
export UBSAN_OPTIONS='halt_on_error=1:print_stacktrace=1'
export TSAN_OPTIONS='second_deadlock_stack=1'
# gcc 12's ThreadSanitizer cannot place its shadow when addresses are randomised widely.
runner=''
if [ "$flavour" = tsan ] && setarch -R true 2>/dev/null; then
    runner='setarch -R'
fi
$runner .venv/bin/python -m pytest -q -m 'not long' "$@" \
    tests/integration/test_server_concurrency.py </dev/null
