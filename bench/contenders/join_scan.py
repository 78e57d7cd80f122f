"""A yardstick: DuckDB reads the same columns and adds them up."""

from typing import Any

from contender import Job, main, result, timed
from joins import Question


def measure(job: Job) -> dict[str, Any]:
    import duckdb

    question = Question.of(job)
    db = duckdb.connect(config={"threads": job.threads})
    times = ", ".join(f"sum(epoch_us({name}))" for name in ("event_timestamp", "created"))
    keys = [f"length({key})" if question.text_keys else key for key in question.keys]
    values = ", ".join(f"sum({value})" for value in (*keys, *question.features))
    sql = f"SELECT {times}, {values} FROM read_parquet('{job.path(question.file)}')"
    _, figures = timed(lambda: db.sql(sql).to_arrow_table())
    return result(figures)


if __name__ == "__main__":
    main(measure)
