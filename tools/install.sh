#!/bin/sh
# Build the Python package and install it into .venv, if anything in it changed since last time.
#
# It is the same build as the wheel's, but incremental (build/py is kept) and without a network.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export PATH

stamp=.venv/.stamp-tiffin
now=$(
    # The example's files are the template `flights` of the package.
    find meson.build meson_options.txt pyproject.toml subprojects/packagefiles include src python \
        examples/flights/.gitignore examples/flights/feature_store.yaml \
        examples/flights/features.py examples/flights/prepare.py \
        -type f ! -name '*.pyc' ! -name '*.md' -exec cksum {} + | sort -k 3 | cksum
)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$now" ]; then
    exit 0
fi
echo 'setup: building tiffin into .venv'
log=build/py-install.log
mkdir -p build
python -m pip --disable-pip-version-check install --quiet --no-build-isolation --no-deps \
    --force-reinstall --config-settings=build-dir=build/py . >$log 2>&1 </dev/null || {
    cat $log >&2
    exit 1
}
echo "$now" >"$stamp"
