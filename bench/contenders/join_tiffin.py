"""A training set by Tiffin."""

from typing import Any

from contender import Job, check_table, main, read_spine, result, timed
from tiffin_repo import REFERENCES, make_store, open_store


def prepare(job: Job) -> None:
    make_store(job, "s10.parquet")


def measure(job: Job) -> dict[str, Any]:
    spine = read_spine(job)
    store = open_store(job, job.folder)
    job_of: list[Any] = []

    def join() -> Any:
        job_of.append(store.get_historical_features(spine, REFERENCES))
        return job_of[0].to_arrow()

    table, figures = timed(join)
    return result(figures, check_table(table), {"explain": job_of[0].explain().to_dict()})


if __name__ == "__main__":
    main(measure, prepare)
