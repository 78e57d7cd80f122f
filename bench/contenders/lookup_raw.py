"""The yardstick of prepared lookups: the same keys of Tiffin's own store through mdb_get, in C.

`raw_gets` (bench/raw_gets.c) is built by Meson beside the extension; keys are encoded beforehand,
as docs/formats/entity-key.md and docs/formats/online-store.md say.
"""

import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from contender import Job, main, result
from lookup_cases import case_of, shared_folder
from tiffin_repo import open_store

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "py"  # where tools/install.sh builds


def prepare(job: Job) -> None:
    """Build the program, and write down what it reads."""
    case, folder = case_of(job), shared_folder(job, "tiffin")
    ninja = Path(sys.executable).with_name("ninja")
    subprocess.run([ninja, "-C", BUILD, "bench/raw_gets"], check=True, stdout=subprocess.DEVNULL)
    states = {s["view"]: s["generation"] for s in open_store(job, folder).status()}
    with job.empty_folder().joinpath("keys").open("wb") as file:
        for batch in case.batches(job):
            for view in case.views:
                file.write(b"".join(encode(states[view], key) for key in batch))


def encode(generation: int, key: int) -> bytes:
    """Length; then generation, type tag, the integer with its sign flipped."""
    return struct.pack("<I", 13) + struct.pack(">IBQ", generation, 3, key + (1 << 63))


def measure(job: Job) -> dict[str, Any]:
    case, folder = case_of(job), shared_folder(job, "tiffin")
    online, keys = folder / "data" / "online", Path(job.folder) / "keys"
    command = [BUILD / "bench" / "raw_gets", online, "rows", keys, str(case.n_calls)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    n_asked = case.n_calls * case.n_rows * len(case.views)
    if found["found"] != n_asked:
        raise RuntimeError(f"{found['found']} of {n_asked} keys were found")
    return result({"median": found["median"], "p99": found["p99"], "store_mb": 0.0})


if __name__ == "__main__":
    main(measure, prepare)
