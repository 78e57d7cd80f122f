"""What contenders that read from Redis share: a filled server, keys, the stop-watch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from contender import Job, latencies, lookup_keys

REFERENCES = [f"stats:f{i}" for i in range(10)]
N_MANY = 100


def filled(job: Job) -> Path:
    """Folder of the dump that Tiffin's `prepare` left."""
    return Path(job.others["Tiffin"]) / "redis"


def wide(job: Job) -> Job:
    """The job with as many keys as are in this Redis."""
    return Job(**{**vars(job), "sizes": {**job.sizes, "n_keys": job.sizes["n_many_keys"]}})


def time_lookups(job: Job, call: Callable[[list[int]], Any]) -> dict[str, float]:
    n_calls = job.params["n_many"]
    keys = lookup_keys(wide(job), n_calls, N_MANY)
    spent = latencies(lambda i: call(keys[i % len(keys)]), n_calls, 20)
    return {f"many_{k}": v for k, v in spent.items()}
