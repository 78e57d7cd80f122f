"""The same training set by Feast's DuckDB store, or by Tiffin's under Feast (params: offline).

Feast takes a pandas frame and does not keep its order: the rows are numbered, and put back in order
after the clock has stopped, so that answers can be compared.
"""

from typing import Any

from contender import Job, main, read_spine, result, timed
from feast_repo import REFERENCES, make_store, open_store
from joins import Question


def offline_of(job: Job) -> str:
    return str(job.params.get("offline", "duckdb"))


def prepare(job: Job) -> None:
    make_store(job, Question.of(job), offline_of(job))


def measure(job: Job) -> dict[str, Any]:
    import numpy as np

    question = Question.of(job)
    spine = read_spine(job, question.spine)
    numbered = spine.append_column("i", [np.arange(spine.num_rows)]).to_pandas()
    store = open_store(job.folder, offline_of(job))
    table, figures = timed(
        lambda: store.get_historical_features(numbered, features=REFERENCES).to_arrow()
    )
    return result(figures, question.check(table.sort_by("i")))


if __name__ == "__main__":
    main(measure, prepare)
