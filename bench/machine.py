"""What ran where: the machine and the versions, for whoever reads the figures later."""

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

PACKAGES = (
    "tiffin duckdb polars feast ibis-framework redis lmdb pyarrow numpy pandas fastapi uvicorn"
    " gunicorn"
).split()
ASK_VERSIONS = """
import importlib.metadata as m, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = m.version(name)
    except m.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def first_value(file: str, name: str) -> str:
    """Value of the first line `name : value` of a file in /proc, or "" where there is none."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def describe() -> dict[str, Any]:
    """CPU, cores, memory, system."""
    kilobytes = first_value("/proc/meminfo", "MemTotal").split()
    return {
        "cpu": first_value("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": round(int(kilobytes[0]) / 1e6, 1) if kilobytes else 0,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def versions(python: str) -> dict[str, str]:
    """Versions of an interpreter and of what matters in it; empty if it cannot be asked."""
    command = [python, "-c", ASK_VERSIONS, *PACKAGES]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, str] = json.loads(run.stdout) if run.returncode == 0 else {}
    return found


def commit(folder: Path) -> str:
    """Short commit of a work tree, with `-dirty` if it has changes; "" outside of one."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout.strip()
