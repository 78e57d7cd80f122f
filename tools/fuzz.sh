#!/bin/sh
# Fuzz every target with libFuzzer, one after the other.
#
# FUZZ_SECONDS  seconds per target (20)
#
# Starts from the committed seeds; what it finds on the way stays in build/fuzz/found, so that a
# later run goes on from there. A crash leaves its input in build/fuzz and fails the run.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
PATH="$PWD/.venv/bin:$PATH"
export PATH

mkdir -p build
[ -f build/fuzz/build.ninja ] ||
    CC=clang meson setup build/fuzz -Dfuzzer=true -Dfault=true -Dtests=disabled \
        -Db_sanitize=address,undefined -Db_lundef=false >build/fuzz-setup.log || {
        cat build/fuzz-setup.log >&2
        exit 1
    }
ninja -C build/fuzz >build/fuzz/build.log || {
    cat build/fuzz/build.log >&2
    exit 1
}

cd build/fuzz
for program in tests/fuzz/fuzz_*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    name=$(basename "$program")
    name=${name#fuzz_}
    mkdir -p "found/$name"
    echo "fuzz: $name for ${FUZZ_SECONDS:-20} s"
    UBSAN_OPTIONS=halt_on_error=1 "./$program" -max_total_time="${FUZZ_SECONDS:-20}" \
        -rss_limit_mb=512 -timeout=5 -verbosity=0 -print_final_stats=1 \
        "found/$name" "$root/tests/fuzz/seeds/$name" 2>"$name.log" </dev/null || {
        tail -n 60 "$name.log" >&2
        echo "fuzz: $name: FAILED, its input is in build/fuzz" >&2
        exit 1
    }
    sed -n 's/stat::number_of_executed_units: */fuzz: '"$name"': runs: /p' "$name.log"
done
