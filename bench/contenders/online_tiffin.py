"""Lookups by Tiffin, in process."""

from typing import Any

from contender import Job, check_keys, check_values, main, result
from joins import Question
from lookups import both
from tiffin_repo import REFERENCES, all_time, make_store, open_store


def prepare(job: Job) -> None:
    make_store(job, Question(file="materialize.parquet")).materialize(*all_time())


def measure(job: Job) -> dict[str, Any]:
    store = open_store(job, job.folder)

    def lookup(keys: list[int]) -> dict[str, list[Any]]:
        rows = [{"user_id": key} for key in keys]
        values: dict[str, list[Any]] = store.get_online_features(REFERENCES, rows).to_dict()
        return values

    return result(both(job, lookup), check_values(lookup(check_keys(job))))


if __name__ == "__main__":
    main(measure, prepare)
