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
from lookup_cases import Case, case_of, shared_folder
from tiffin_repo import open_store

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "py"  # where tools/install.sh builds


def build() -> None:
    ninja = Path(sys.executable).with_name("ninja")
    subprocess.run([ninja, "-C", BUILD, "bench/raw_gets"], check=True, stdout=subprocess.DEVNULL)


def write_keys(job: Job, case: Case, to: Path) -> None:
    """Write down what the program reads."""
    states = {
        s["view"]: s["generation"] for s in open_store(job, shared_folder(job, "tiffin")).status()
    }
    with to.open("wb") as file:
        for batch in case.batches(job):
            for view in case.views:
                file.write(b"".join(encode(states[view], key) for key in batch))


def prepare(job: Job) -> None:
    build()
    write_keys(job, case_of(job), job.empty_folder() / "keys")


def encode(generation: int, key: int) -> bytes:
    """Length; then generation, type tag, the integer with its sign flipped."""
    return struct.pack("<I", 13) + struct.pack(">IBQ", generation, 3, key + (1 << 63))


def get_all(job: Job, case: Case, keys: Path) -> dict[str, Any]:
    """Run the program: median and 99th percentile of a batch, in microseconds."""
    online = shared_folder(job, "tiffin") / "data" / "online"
    command = [BUILD / "bench" / "raw_gets", online, "rows", keys, str(case.n_calls)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    n_asked = case.n_calls * case.n_rows * len(case.views)
    if found["found"] != n_asked:
        raise RuntimeError(f"{found['found']} of {n_asked} keys were found")
    return found


def measure(job: Job) -> dict[str, Any]:
    found = get_all(job, case_of(job), Path(job.folder) / "keys")
    return result({"median": found["median"], "p99": found["p99"], "store_mb": 0.0})


if __name__ == "__main__":
    main(measure, prepare)
