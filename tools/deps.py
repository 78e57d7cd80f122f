#!/usr/bin/env python3
"""Fetch the released C sources that not every system packages.

usage: deps.py [NAME ...]      (no name: everything in deps.txt)

Each name stands in tools/deps.txt with a version and a hash. Its source package is taken through
pip, from whatever index pip is set up for, checked against the hash, and left as
subprojects/packagefiles/NAME-VERSION.tar.gz, where Meson finds it (see the .wrap of that name).
A file that is there already and has the hash is used as it is, so a machine without a network
builds once it has been seeded. Stand-alone: needs only the standard library and pip.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tools" / "deps.txt"
STORE = ROOT / "subprojects" / "packagefiles"
PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[\w.]+) --hash=sha256:(?P<sha256>[0-9a-f]{64})")


def read_pins() -> dict[str, re.Match[str]]:
    pins = {}
    for line in PINS.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            pin = PIN.fullmatch(line.strip())
            if pin is None:
                raise SystemExit(f"{PINS.name}: not 'NAME==VERSION --hash=sha256:HEX': {line}")
            pins[pin["name"]] = pin
    return pins


def has_hash(file: Path, sha256: str) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def fetch(pin: re.Match[str]) -> None:
    archive = STORE / f"{pin['name']}-{pin['version']}.tar.gz"
    if has_hash(archive, pin["sha256"]):
        return
    with tempfile.TemporaryDirectory() as tmp:
        requirement = Path(tmp, "requirement.txt")
        requirement.write_text(pin[0] + "\n")
        command = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "download",
            "--quiet",
        ]
        command += ["--no-deps", "--no-binary", pin["name"], "--require-hashes"]
        command += ["--requirement", str(requirement), "--dest", tmp]
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        downloaded = Path(tmp, archive.name)
        if run.returncode != 0 or not downloaded.is_file():
            raise SystemExit(
                f"deps: pip could not download the sources of {pin['name']} {pin['version']}; "
                f"without a network, put {archive.name} into {STORE.relative_to(ROOT)}, or install "
                f"the system's {pin['name']} and configure with -Ddeps=system\n{run.stderr.strip()}"
            )
        STORE.mkdir(parents=True, exist_ok=True)
        partial = archive.with_suffix(".part")
        partial.write_bytes(downloaded.read_bytes())
        if not has_hash(partial, pin["sha256"]):
            partial.unlink()
            raise SystemExit(f"deps: {archive.name} does not have the hash in {PINS.name}")
        partial.replace(archive)


def main(names: list[str]) -> None:
    pins = read_pins()
    for name in names or list(pins):
        if name not in pins:
            raise SystemExit(f"deps: '{name}' is not in {PINS.name}, which has {', '.join(pins)}")
        fetch(pins[name])


if __name__ == "__main__":
    main(sys.argv[1:])
