"""The newest values into a fresh online store, by Tiffin."""

from typing import Any

from contender import Job, check_keys, check_values, main, result, timed
from joins import Question
from tiffin_repo import REFERENCES, all_time, make_store


def measure(job: Job) -> dict[str, Any]:
    store = make_store(job, Question(file=job.params.get("file", "materialize.parquet")))
    report, figures = timed(lambda: store.materialize(*all_time()))
    keys = [{"user_id": key} for key in check_keys(job)]
    answer = store.get_online_features(REFERENCES, keys)
    return result(figures, check_values(answer.to_dict()), report.to_dict())


if __name__ == "__main__":
    main(measure)
