"""What every contender shares: its job, its measurement, the checks of its answer.

A contender is a script with one or two functions that it hands to `main`:

    measure(job)  does the work once and returns `result(...)`; runs once a round, in a new process
    prepare(job)  makes what the work needs (a repo, a loaded store); runs once before the rounds

It is started as `script.py measure|prepare JOB.json`, where JOB.json is a `Job`, and writes its
result to `job.result`. Only the standard library is imported here: what a process has loaded before
its measurement is the contender's choice, and part of its memory.
"""

import gc
import json
import resource
import shutil
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FEATURES = [f"f{i}" for i in range(10)]
N_INT = 5  # f0..f4 are int64, the others float32
TTL_DAYS = 7


@dataclass(frozen=True)
class Job:
    """What a contender is asked to do."""

    data: str  # folder of the data sets
    folder: str  # where this contender may write; kept between its rounds
    result: str  # file for the result
    threads: int
    sizes: dict[str, int]
    params: dict[str, Any] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)  # folders of the other contenders, by name

    def path(self, name: str) -> str:
        """One of the files that data.py made."""
        return str(Path(self.data) / name)

    def empty_folder(self) -> Path:
        """This contender's folder, as new."""
        folder = Path(self.folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def result(
    figures: dict[str, float],
    check: dict[str, Any] | None = None,
    notes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what a round yields.

    figures: what the table shows. check: must equal that of every other contender of the scenario.
    notes: kept in results.json for whoever wants to know why.
    """
    return {"figures": figures, "check": check, "notes": notes or {}}


def main(
    measure: Callable[[Job], dict[str, Any]], prepare: Callable[[Job], None] | None = None
) -> None:
    verb, file = sys.argv[1:]
    job = Job(**json.loads(Path(file).read_text()))
    if verb == "measure":
        Path(job.result).write_text(json.dumps(measure(job)))
    elif prepare is not None:
        prepare(job)


# ---- one call: seconds and memory


def resident_mb() -> float:
    """Memory of this process now (Linux; elsewhere 0)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / 1e6


def peak_mb() -> float:
    """Most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what `call` returns, and its seconds, core seconds, memory before and at the peak."""
    gc.collect()
    before = resident_mb()
    cpu, start = time.process_time(), time.perf_counter()
    answer = call()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = peak_mb()
    return answer, {"seconds": seconds, "cpu": cpu, "before_mb": before, "peak_mb": peak}


# ---- many calls: the distribution


def latencies(call: Callable[[int], Any], n_calls: int, n_warm: int = 200) -> dict[str, float]:
    """Call `call(i)` many times; median and 99th percentile in microseconds."""
    for i in range(n_warm):
        call(i)
    clock = time.perf_counter_ns
    spent = array("q", bytes(8 * n_calls))
    for i in range(n_calls):
        start = clock()
        call(i)
        spent[i] = clock() - start
    ordered = sorted(spent)
    return {
        "median": ordered[n_calls // 2] / 1e3,
        "p99": ordered[min(n_calls - 1, n_calls * 99 // 100)] / 1e3,
    }


# ---- checks


def read_spine(job: Job, name: str = "spine.arrow") -> Any:
    """Entity rows as a `pyarrow.Table`."""
    import pyarrow as pa

    pa.set_cpu_count(job.threads)
    with pa.OSFile(job.path(name)) as file, pa.ipc.open_file(file) as reader:
        return reader.read_all()


def check_table(table: Any, names: dict[str, str]) -> dict[str, Any]:
    """Return what decides whether two training sets are equal, in a few numbers.

    `names`: column -> what it is called in the check. Rows; per column (and label) its nulls, its
    sum, and its sum weighted by row number (the order). Sums are of integers (floats are multiples
    of 1/1024), modulo 2^64, so they do not depend on who adds.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    weights = pa.array(range(table.num_rows), pa.int64())
    check: dict[str, Any] = {"rows": table.num_rows}
    for name, called in {"label": "label", **names}.items():
        column = table[name].combine_chunks()
        if pa.types.is_floating(column.type):
            column = pc.multiply(pc.cast(column, pa.float64()), 1024.0)
        column = pc.cast(column, pa.int64())
        weighted = pc.sum(pc.multiply(column, weights)).as_py()
        check[called] = [column.null_count, pc.sum(column).as_py(), weighted]
    return check


def check_keys(job: Job) -> list[int]:
    """Keys whose online values are compared: 1,000, spread, and one that nobody has."""
    n = job.sizes["n_keys"]
    return [*range(0, n, max(1, n // 1000)), n + 1]


def check_values(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Return the same as `check_table` for values by name, as online lookups return them."""
    check: dict[str, Any] = {"rows": len(columns["user_id"])}
    for name in FEATURES:
        values = columns[name]
        known = [(i, v) for i, v in enumerate(values) if v is not None]
        scale = 1 if int(name[1:]) < N_INT else 1024
        weighted = sum(i * int(v * scale) for i, v in known)
        check[name] = [len(values) - len(known), sum(int(v * scale) for _, v in known), weighted]
    return check


def lookup_keys(job: Job, n_lists: int, n_rows: int) -> list[list[int]]:
    """Random existing keys, `n_rows` for each of `n_lists` calls; the same in every process."""
    state, n_keys = 1, job.sizes["n_keys"]
    lists = []
    for _ in range(n_lists):
        keys = []
        for _ in range(n_rows):
            state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
            keys.append((state >> 33) % n_keys)
        lists.append(keys)
    return lists
