"""A yardstick: Python builds the dict that a lookup returns, from values it has already."""

from typing import Any

from contender import FEATURES, N_INT, Job, main, result
from lookups import both


def measure(job: Job) -> dict[str, Any]:
    row = [1_000 + i if i < N_INT else i + 0.5 for i in range(len(FEATURES))]

    def build(keys: list[int]) -> dict[str, list[Any]]:
        answer = {name: [value for _ in keys] for name, value in zip(FEATURES, row, strict=True)}
        return {"user_id": keys, **answer}

    return result(both(job, build))


if __name__ == "__main__":
    main(measure)
