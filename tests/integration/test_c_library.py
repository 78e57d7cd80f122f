"""What a C program gets: headers, libtiffin.so, libtiffin.a and tiffin.pc, installed and linked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "py"
PROGRAM = r"""
#include <stdio.h>
#include <tiffin/error.h>

int main(void)
{
    puts(tfn_code_name(TFN_NOT_FOUND));
    return 0;
}
"""

pytestmark = pytest.mark.skipif(
    not (BUILD / "build.ninja").exists(), reason="needs build/py, which tools/install.sh makes"
)


def run(*command, env=None):
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | (env or {}))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    root = tmp_path_factory.mktemp("installed")
    meson = Path(sys.executable).with_name("meson")
    arguments = ["--no-rebuild", "--quiet", "--tags=devel,runtime", f"--destdir={root}"]
    run(meson, "install", "-C", BUILD, *arguments)
    return root


def find(installed, name):
    (found,) = installed.rglob(name)
    return found


def compile_program(installed, folder, *extra):
    source, program = folder / "program.c", folder / "program"
    source.write_text(PROGRAM)
    env = {
        "PKG_CONFIG_PATH": str(find(installed, "tiffin.pc").parent),
        "PKG_CONFIG_SYSROOT_DIR": str(installed),
    }
    flags = run("pkg-config", "--cflags", *extra, "--libs", "tiffin", env=env).split()
    if extra:
        flags = [str(find(installed, "libtiffin.a")) if f == "-ltiffin" else f for f in flags]
    run("cc", "-Wall", "-Werror", source, "-o", program, *flags)
    return program


def test_every_public_header_is_installed(installed):
    names = {path.name for path in find(installed, "error.h").parent.iterdir()}
    assert names == {path.name for path in (ROOT / "include" / "tiffin").iterdir()}


def test_a_program_links_the_shared_library(installed, tmp_path):
    program = compile_program(installed, tmp_path)
    library = str(find(installed, "libtiffin.so").parent)
    assert run(program, env={"LD_LIBRARY_PATH": library}) == "NOT_FOUND\n"


def test_a_program_links_the_archive_and_needs_nothing_of_ours_to_run(installed, tmp_path):
    assert run(compile_program(installed, tmp_path, "--static")) == "NOT_FOUND\n"


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm")
@pytest.mark.parametrize("name", ["libtiffin.so", "libtiffin.a"])
def test_a_library_defines_nothing_but_our_names(installed, name):
    scope = "--dynamic" if name.endswith(".so") else "--extern-only"
    symbols = run("nm", scope, "--defined-only", find(installed, name)).splitlines()
    names = {line.split()[2] for line in symbols if len(line.split()) == 3}
    assert "tfn_code_name" in names
    assert {name for name in names if not name.startswith("tfn_") or "__" in name} == set()
