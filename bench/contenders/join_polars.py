"""The same training set by Polars' join_asof, in the order of the entity rows."""

from typing import Any

from contender import TTL_DAYS, Job, main, read_spine, result, timed
from joins import TIME, Question


def measure(job: Job) -> dict[str, Any]:
    import polars as pl

    question = Question.of(job)
    spine = read_spine(job, question.spine)

    def join() -> Any:
        names = [*question.keys, TIME, *question.features]
        right = pl.scan_parquet(job.path(question.file)).select(names)
        left = pl.DataFrame(spine).lazy().with_row_index("i").sort(TIME)
        joined = left.join_asof(
            right.set_sorted(TIME),
            on=TIME,
            by=list(question.keys),
            strategy="backward",
            tolerance=f"{TTL_DAYS}d",
            check_sortedness=False,
        )
        return joined.sort("i").drop("i").collect(engine=job.params["engine"]).to_arrow()

    table, figures = timed(join)
    return result(figures, question.check(table), {"threads": pl.thread_pool_size()})


if __name__ == "__main__":
    main(measure)
