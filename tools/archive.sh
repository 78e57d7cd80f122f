#!/bin/sh
# Make one self-contained archive out of several.
#
# usage: archive.sh OUT.a IN.a...
#
# All objects become one, in which every symbol that was hidden is local: a program that links
# OUT.a meets tfn_* names only, and none that could clash with its own copy of what is inside.
set -eu
out=$1
shift
object=${out%.a}.o
${CC:-cc} -r -nostdlib -o "$object" -Wl,--whole-archive "$@" -Wl,--no-whole-archive
${OBJCOPY:-objcopy} --localize-hidden "$object"
rm -f "$out"
${AR:-ar} rcs "$out" "$object"
rm -f "$object"
