#!/bin/sh
# Make this machine ready for a verb of the Makefile.
#
# usage: tools/setup.sh [test|lint|fuzz|peers]...
#
# Always: a C compiler, the system libraries we link, a Python >= 3.11 and .venv with what tiffin
# needs to run and to be built. Then, for each word: the Python packages of
# tools/requirements/WORD.txt (in .venv; those of peers in .venv-peers) and the tools of that verb.
#
# System packages: as root on Debian or Ubuntu the missing ones are installed, and named before.
# Elsewhere one sentence says what to install. What is there is found by trying it, not by asking
# a package manager, so a machine set up in another way is left alone.
# A second run finds everything in place: stamps in .venv hold the hashes of what was installed.
set -eu
cd "$(dirname "$0")/.."

for word in "$@"; do
    case $word in
    test | lint | fuzz | peers) ;;
    *)
        echo "setup: unknown word '$word'; there are: test lint fuzz peers" >&2
        exit 2
        ;;
    esac
done

CC=${CC:-gcc}
command -v "$CC" >/dev/null 2>&1 || CC=cc

# --- system packages -------------------------------------------------------------------------

missing_apt='' missing_dnf='' missing_brew='' missing_words=''

# want WORDS APT DNF BREW: note one thing as missing.
want() {
    missing_words="$missing_words${missing_words:+, }$1"
    missing_apt="$missing_apt $2" missing_dnf="$missing_dnf $3" missing_brew="$missing_brew $4"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Does a C program that includes <$1> compile? $2: flags of the compiler.
has_header() {
    printf '#include <%s>\nint main(void) { return 0; }\n' "$1" |
        "$CC" ${2:-} -x c -fsyntax-only - 2>/dev/null
}

# Does pkg-config know $1? (Meson asks it; without pkg-config itself nothing is known.)
has_library() {
    has pkg-config && pkg-config --exists "$1"
}

# A Python that may make .venv: new enough, and (unless $2 is 'bare') with venv, pip and headers.
is_python() {
    "$1" -c '
import importlib.util, os, sys, sysconfig
if sys.version_info < (3, 11):
    sys.exit(1)
if sys.argv[1] != "bare":
    modules = all(importlib.util.find_spec(m) for m in ("venv", "ensurepip"))
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    sys.exit(not (modules and os.path.exists(header)))
' "${2:-}" 2>/dev/null
}

# Print the first Python >= 3.11. $1: 'bare' or nothing, as above.
find_python() {
    for python in ${PYTHON:-} python3 /usr/bin/python3 python3.11 python3.12 python3.13 python3.14; do
        if is_python "$python" "${1:-}"; then
            command -v "$python"
            return
        fi
    done
    return 1
}

look_for_missing() {
    missing_apt='' missing_dnf='' missing_brew='' missing_words=''
    if has "$CC"; then
        has_header stdio.h || want 'the C library headers' libc6-dev glibc-devel gcc
    else
        want 'a C compiler' 'gcc libc6-dev' gcc gcc
    fi
    has pkg-config || want pkg-config pkg-config pkgconf-pkg-config pkgconf
    has_library sqlite3 || want 'SQLite (the registry)' libsqlite3-dev sqlite-devel sqlite
    has_library lmdb || want 'LMDB (the online store)' liblmdb-dev lmdb-devel lmdb
    has_library libprotobuf-c || want "protobuf-c (Feast's registry)" libprotobuf-c-dev protobuf-c-devel protobuf-c
    has protoc-c || want 'protoc-c' protobuf-c-compiler protobuf-c-compiler protobuf-c
    has_library libmicrohttpd || want 'libmicrohttpd (the server)' libmicrohttpd-dev libmicrohttpd-devel \
        libmicrohttpd
    has_library yaml-0.1 || want 'libyaml (the server)' libyaml-dev libyaml-devel libyaml
    has_library openssl || want 'OpenSSL (TLS to Redis)' libssl-dev openssl-devel openssl
    has_library libxxhash || want 'xxHash (hashing)' libxxhash-dev xxhash-devel xxhash
    if ! .venv/bin/python -c '' 2>/dev/null && ! find_python >/dev/null; then
        want 'Python >= 3.11 with venv and headers' 'python3-venv python3-dev' python3-devel \
            python@3.13
    fi
    for word in "$@"; do
        case $word in
        test)
            has_library cmocka || want 'cmocka (C unit tests)' libcmocka-dev libcmocka-devel cmocka
            has redis-server || want 'redis-server (tests of Redis)' redis-server redis redis
            has redis-cli || want 'redis-cli (tests of Redis)' redis-tools redis redis
            has openssl || want 'the command openssl (tests of TLS)' openssl openssl openssl
            ;;
        peers)
            has wrk || want 'wrk (load of the server)' wrk wrk wrk
            ;;
        lint)
            has g++ || want 'a C++ compiler (headers are checked as C++17)' g++ gcc-c++ gcc
            has nm || want 'nm (exports are checked)' binutils binutils binutils
            ;;
        fuzz)
            has clang || want 'clang (fuzzing)' 'clang libclang-rt-dev' 'clang compiler-rt' llvm
            if has clang && ! echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n)
                { return p != 0 && n > 0 ? 0 : 0; }' |
                clang -x c -fsanitize=fuzzer,address - -o /dev/null 2>/dev/null; then
                want 'libFuzzer' libclang-rt-dev compiler-rt llvm
            fi
            ;;
        esac
    done
}

look_for_missing "$@"
if [ -n "$missing_apt" ] && [ "$(id -u)" = 0 ] && has apt-get; then
    echo "setup: missing here: $missing_words."
    echo "setup: installing the system packages:$missing_apt"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    # shellcheck disable=SC2086
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing_apt; } \
        >"$log" 2>&1 </dev/null || {
        cat "$log" >&2
        echo 'setup: apt could not install them; its own words are above.' >&2
        exit 1
    }
    rm -f "$log"
    look_for_missing "$@"
fi
if [ -n "$missing_words" ]; then
    echo "setup: Tiffin needs $missing_words; install with" \
        "'sudo apt install$missing_apt' (Debian, Ubuntu)," \
        "'sudo dnf install$missing_dnf' (Fedora) or" \
        "'brew install$missing_brew' (macOS), then run this again." >&2
    exit 1
fi

# --- Python packages -------------------------------------------------------------------------

# make_venv DIR: with the first Python >= 3.11; one whose Python is gone is made anew.
make_venv() {
    if ! is_python "$1/bin/python" bare; then
        python=$(find_python)
        echo "setup: making $1 with $python ($("$python" -c 'import platform
print(platform.python_version())'))"
        "$python" -m venv --clear "$1"
    fi
}

# Bring DIR to requirements $2...; nothing happens if the stamp says that they are in.
install_requirements() {
    venv=$1 name=$2 target=${3:-}
    stamp="$venv/.stamp-$name"
    now=$(cksum <"tools/requirements/$name.txt")
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ]; then
        return
    fi
    echo "setup: installing tools/requirements/$name.txt into ${target:-$venv}"
    if [ -n "$target" ]; then
        rm -rf "$target"
        set -- --no-deps --target "$target"
    else
        set --
    fi
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet --use-pep517 "$@" \
        --requirement "tools/requirements/$name.txt" </dev/null
    echo "$now" >"$stamp"
}

make_venv .venv
install_requirements .venv run
for word in "$@"; do
    case $word in
    test)
        install_requirements .venv test
        install_requirements .venv duckdb-older .venv/share/duckdb-older
        install_requirements .venv pandas-older .venv/share/pandas-older
        ;;
    lint) install_requirements .venv lint ;;
    fuzz) ;;
    peers)
        make_venv .venv-peers
        install_requirements .venv-peers peers
        ;;
    esac
done
