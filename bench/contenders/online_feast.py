"""Lookups by Feast from SQLite, in process."""

from typing import Any

from contender import Job, check_keys, check_values, main, result
from feast_repo import REFERENCES, make_store, materialize, open_store
from joins import Question
from lookups import both


def prepare(job: Job) -> None:
    materialize(make_store(job, Question(file="materialize.parquet")))


def measure(job: Job) -> dict[str, Any]:
    store = open_store(job.folder)

    def lookup(keys: list[int]) -> dict[str, list[Any]]:
        rows = [{"user_id": key} for key in keys]
        answer = store.get_online_features(features=REFERENCES, entity_rows=rows)
        values: dict[str, list[Any]] = answer.to_dict()
        return values

    return result(both(job, lookup), check_values(lookup(check_keys(job))))


if __name__ == "__main__":
    main(measure, prepare)
