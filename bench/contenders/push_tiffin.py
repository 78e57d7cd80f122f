"""Pushes of one row and of many by Tiffin, into a loaded store."""

import datetime
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from contender import Job, latencies, lookup_keys, main, result
from joins import Question
from tiffin_repo import all_time, make_store, open_store

MEMORY = Path("/dev/shm")
NOW_US = 1_709_251_200_000_000  # 2024-03-01: after every row of the source
N_FEATURES = 10


def prepare(job: Job) -> None:
    store = make_store(job, Question(file="online.parquet"))
    start, end = all_time()
    if job.params.get("in_two_loads"):  # the second is a generation of its own, beside the first
        store.materialize(start, datetime.datetime(2024, 1, 16, tzinfo=datetime.UTC))
    store.materialize(start, end)


def rows_of(keys: list[int], at_us: int) -> Any:
    """One push as an Arrow table; `at_us` grows from push to push."""
    import pyarrow as pa

    n = len(keys)
    times = pa.array([at_us] * n, pa.timestamp("us", "UTC"))
    columns = {"user_id": pa.array(keys, pa.int64()), "event_timestamp": times, "created": times}
    for i in range(N_FEATURES):
        kind = pa.int64() if i < N_FEATURES // 2 else pa.float32()
        columns[f"f{i}"] = pa.array([at_us % 1000 + i] * n, kind)
    return pa.table(columns)


def measure_in(job: Job, folder: Path) -> dict[str, float]:
    import pyarrow as pa

    store = open_store(job, folder)
    n_one, n_many, rows_many = (job.params[name] for name in ("n_one", "n_many", "rows_many"))
    n_keys = job.sizes["n_many_keys"]
    wide = Job(**{**vars(job), "sizes": {**job.sizes, "n_keys": n_keys}})
    ones = [rows_of(keys, NOW_US + i) for i, keys in enumerate(lookup_keys(wide, n_one + 200, 1))]
    many = [
        rows_of(keys, NOW_US + n_one + 1_000 + i)
        for i, keys in enumerate(lookup_keys(wide, n_many, rows_many))
    ]
    assert isinstance(many[0], pa.Table)
    pushes = iter(ones)
    one = latencies(lambda _: store.write_to_online_store("stats", next(pushes)), n_one)
    seconds = []
    for table in many:
        start = time.perf_counter()
        store.write_to_online_store("stats", table)
        seconds.append(time.perf_counter() - start)
    middle = sorted(seconds)[len(seconds) // 2]
    return {
        "one_median": one["median"],
        "one_p99": one["p99"],
        "many_rate": rows_many / middle,
        "many_us": middle / rows_many * 1e6,
    }


def measure(job: Job) -> dict[str, Any]:
    loaded = Path(job.folder)
    base = MEMORY if job.params.get("in_memory") else loaded.parent
    with tempfile.TemporaryDirectory(dir=base, prefix="tiffin-push-") as place:
        folder = Path(place) / "repo"
        shutil.copytree(loaded, folder)
        return result(measure_in(job, folder))


if __name__ == "__main__":
    main(measure, prepare)
