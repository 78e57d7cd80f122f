"""A yardstick: Python builds the dict that a lookup returns, from values it has already."""

from typing import Any

from contender import FEATURES, N_INT, Job, main, result
from lookups import both


def measure(job: Job) -> dict[str, Any]:
    row = [(name, 1_000 + i if i < N_INT else i + 0.5) for i, name in enumerate(FEATURES)]

    def build(keys: list[int]) -> dict[str, list[Any]]:
        n = len(keys)
        answer: dict[str, list[Any]] = {"user_id": keys}
        for name, value in row:
            answer[name] = [value] * n
        return answer

    return result(both(job, build))


if __name__ == "__main__":
    main(measure)
