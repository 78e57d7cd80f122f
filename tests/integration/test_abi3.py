"""One extension for every CPython from 3.11 on: whichever are on this machine import it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tiffin

PACKAGE = Path(tiffin.__file__).parent


def pythons():
    """Path of one interpreter per version, by version; ours is left out."""
    found = {}
    folders = os.environ.get("PATH", "").split(os.pathsep)
    candidates = [Path(folder, f"python3.{minor}") for folder in folders for minor in range(11, 20)]
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    candidates += sorted(versions.glob("3.1[1-9].*/bin/python3"))
    for candidate in candidates:
        if candidate.is_file() and "shims" not in candidate.parts:
            ask = "import sys; print('%d.%d' % sys.version_info[:2])"
            done = subprocess.run([candidate, "-c", ask], capture_output=True, text=True)
            if done.returncode == 0:
                found.setdefault(done.stdout.strip(), candidate)
    found.pop("{}.{}".format(*sys.version_info[:2]), None)
    return found


def test_the_extension_says_that_it_is_for_every_version():
    (extension,) = PACKAGE.glob("_native*.so")
    assert extension.name == "_native.abi3.so"


def test_every_python_here_imports_it(tmp_path):
    others = pythons()
    if not others:
        pytest.skip("this machine has one Python >= 3.11")
    (tmp_path / "tiffin").symlink_to(PACKAGE)
    for version, python in others.items():
        done = subprocess.run(
            [python, "-c", "import tiffin._native as n; print(n.__name__)"],
            env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )
        assert done.stdout == "tiffin._native\n", f"Python {version}: {done.stderr}"
