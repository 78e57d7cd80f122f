"""The same training set by DuckDB's ASOF join, in the order of the entity rows."""

from typing import Any

from contender import TTL_DAYS, Job, main, read_spine, result, timed
from joins import TIME, Question


def asof_join(job: Job, question: Question) -> str:
    """SQL over the entity rows `spine`, which have their number in `i`."""
    fresh = f"f.{TIME} >= s.{TIME} - INTERVAL {TTL_DAYS} DAYS"
    features = ", ".join(f"CASE WHEN {fresh} THEN f.{n} END AS {n}" for n in question.features)
    same_key = " AND ".join(f"s.{key} = f.{key}" for key in question.keys)
    return f"""
        SELECT s.* EXCLUDE (i), {features}
        FROM spine AS s ASOF LEFT JOIN read_parquet('{job.path(question.file)}') AS f
          ON {same_key} AND s.{TIME} >= f.{TIME}
        ORDER BY s.i"""


def measure(job: Job) -> dict[str, Any]:
    import duckdb
    import numpy as np

    question = Question.of(job)
    spine = read_spine(job, question.spine)
    db = duckdb.connect(config={"threads": job.threads})
    db.execute("SET TimeZone = 'UTC'")

    def join() -> Any:
        numbered = spine.append_column("i", [np.arange(spine.num_rows)])
        db.register("spine", numbered)
        return db.sql(asof_join(job, question)).to_arrow_table()

    table, figures = timed(join)
    return result(figures, question.check(table))


if __name__ == "__main__":
    main(measure)
