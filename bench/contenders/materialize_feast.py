"""The newest values into a fresh online store, by Feast into SQLite (or what `offline` says)."""

from typing import Any

from contender import Job, check_keys, check_values, main, result, timed
from feast_repo import REFERENCES, make_store, materialize
from joins import Question


def measure(job: Job) -> dict[str, Any]:
    store = make_store(job, Question(file="materialize.parquet"), job.params.get("offline", "dask"))
    _, figures = timed(lambda: materialize(store))
    keys = [{"user_id": key} for key in check_keys(job)]
    answer = store.get_online_features(features=REFERENCES, entity_rows=keys)
    return result(figures, check_values(answer.to_dict()))


if __name__ == "__main__":
    main(measure)
