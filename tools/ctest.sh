#!/bin/sh
# Build the C tests in one flavour and run them.
#
# usage: tools/ctest.sh asan|tsan [arguments of `meson test`, e.g. --suite fault]
#
# asan  AddressSanitizer, UndefinedBehaviorSanitizer, and allocations that tests may refuse
# tsan  ThreadSanitizer
#
# Warnings are errors, as in what `make lint` builds (library, programs and extension).
#
# Sanitized code is built with -O1: half the time of -O2 to compile, and stacks that can be read; and with
# -g1: files and lines, which is what a stack shows, for three quarters of the time of -g. For variables
# in a debugger: meson setup build/dev.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export PATH

flavour=$1
shift
dir=build/$flavour
target=c_tests
case $flavour in
asan) options='-Dwerror=true -Doptimization=1 -Dc_args=-g1 -Db_sanitize=address,undefined -Dfault=true' ;;
tsan) options='-Dwerror=true -Doptimization=1 -Dc_args=-g1 -Db_sanitize=thread' ;;
*)
    echo "ctest: unknown flavour '$flavour'; there are: asan tsan" >&2
    exit 2
    ;;
esac
case "$*" in *'--suite threads'*) target=threaded_tests ;; esac

mkdir -p build
log=$dir-build.log
# shellcheck disable=SC2086
{ [ "$(cat "$dir/.options" 2>/dev/null)" = "$options" ] ||
    { rm -rf "$dir" && meson setup "$dir" -Dtests=enabled $options && echo "$options" >"$dir/.options"; }; } \
    >"$log" 2>&1 &&
    ninja -C "$dir" "$target" >>"$log" 2>&1 || {
    sed -n '/FAILED\|ERROR/,$p' "$log" | grep . >&2 || cat "$log" >&2
    exit 1
}

# gcc 12's ThreadSanitizer cannot place its shadow when addresses are randomised widely.
runner=''
if [ "$flavour" = tsan ] && setarch -R true 2>/dev/null; then
    runner='setarch -R'
fi
$runner meson test -C "$dir" --no-rebuild --print-errorlogs "$@" </dev/null
