"""What the online contenders share: how often, and how the two kinds of calls are named."""

from collections.abc import Callable
from typing import Any

from contender import Job, latencies, lookup_keys

N_MANY = 100  # entities of the larger request


def both(job: Job, call: Callable[[list[int]], Any]) -> dict[str, float]:
    """Time `call(keys)` for one key and for a hundred; `call` returns what the user would get."""
    figures: dict[str, float] = {}
    for n_rows, name in ((1, "one"), (N_MANY, "many")):
        n_calls = job.params[f"n_{name}"]
        keys = lookup_keys(job, min(n_calls, 20_000), n_rows)
        spent = latencies(lambda i, keys=keys: call(keys[i % len(keys)]), n_calls)  # type: ignore[misc]
        figures |= {f"{name}_{k}": v for k, v in spent.items()}
    return figures
