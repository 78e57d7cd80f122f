#!/bin/sh
# Rewrite C, Python and Meson files in the one format.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export PATH

find include src python tests examples bench -name '*.[ch]' 2>/dev/null | xargs clang-format -i
ruff format --quiet .
ruff check --quiet --fix .
meson format -c meson.format -i -r meson.build
