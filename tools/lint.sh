#!/bin/sh
# Every static check, each announced; all run, so that one run shows everything there is to repair.
#
# usage: tools/lint.sh [deep]
#
# deep  clang's analyzer follows as many paths of a function as it does by itself, which takes three
#       times as long
set -u
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export PATH

mode=${1:-}
failed=''

# check NAME COMMAND...: quiet when it passes.
check() {
    name=$1
    shift
    if out=$("$@" 2>&1 </dev/null); then
        echo "lint: $name"
    else
        printf '%s\nlint: %s: FAILED\n' "$out" "$name"
        failed="$failed${failed:+, }$name"
    fi
}

# Our C sources, one a line.
c_files() {
    find include src python tests examples bench -name '*.[ch]' 2>/dev/null
}

format_c() {
    found=$(c_files | xargs -P "$(nproc)" -n 40 clang-format --dry-run --Werror 2>&1) && return
    printf '%s\n' "$found" | grep ': '
    echo 'make fmt puts them right'
    return 1
}

# Library, programs and extension, by gcc with warnings as errors; tests are built so by tools/ctest.sh.
build() {
    [ -f build/gcc/build.ninja ] ||
        meson setup build/gcc -Dwerror=true -Dtests=disabled -Dpython=true || return 1
    ninja -C build/gcc
}

# Each public header alone, as C11 and as C++17.
headers() {
    for header in include/tiffin/*.h; do
        name="tiffin/$(basename "$header")"
        for language in 'c -std=c11' 'c++ -std=c++17'; do
            # shellcheck disable=SC2086
            echo "#include \"$name\"" |
                gcc -x $language -Iinclude -Wall -Wextra -Wpedantic -Werror -fsyntax-only - || return 1
        done
    done
}

# exports FILE PATTERN: every symbol that FILE defines for others matches.
exports() {
    symbols=$(nm $3 --defined-only "$1" | awk 'NF == 3 { print $3 }') || return 1
    if [ -z "$symbols" ] || echo "$symbols" | grep -vE "^($2)$"; then
        echo "$1 exports the above (or nothing at all); only $2 is meant to leave it"
        return 1
    fi
}

# clang-tidy's checks, and clang's own warnings, over library and extension.
tidy() {
    nodes=40000
    [ "$mode" != deep ] || nodes=225000
    find src python/native -name '*.c' | sort | xargs -P "$(nproc)" -n 4 clang-tidy -p build/gcc --quiet \
        --extra-arg=-Xclang --extra-arg=-analyzer-config --extra-arg=-Xclang "--extra-arg=max-nodes=$nodes"
}

check 'clang-format' format_c
check 'meson format' meson format -c meson.format -q -r meson.build
check 'tools/lint.py' python tools/lint.py
check 'ruff format' ruff format --check --quiet .
check 'ruff' ruff check --quiet .
check 'mypy' mypy --no-error-summary
check 'codespell' codespell
check 'public headers as C11 and C++17' headers
check 'gcc with warnings as errors' build
check 'exports of libtiffin.so' exports build/gcc/src/libtiffin.so 'tfn_[a-z0-9][a-z0-9_]*' -D
check 'exports of libtiffin.a' exports build/gcc/src/libtiffin.a 'tfn_[a-z0-9][a-z0-9_]*' --extern-only
check 'exports of the extension' exports build/gcc/python/_native.abi3.so PyInit__native -D
check 'clang-tidy and clang'\''s warnings' tidy

if [ -n "$failed" ]; then
    echo "lint: failed: $failed"
    exit 1
fi
echo 'lint: all passed'
