"""A yardstick for few entity rows: what has to be read, by DuckDB.

Keys and times of all rows are added up; then as many rows as there are entity rows, spread over
the file at random, are fetched with their features by row number.
"""

from typing import Any

from contender import Job, main, result, timed
from joins import Question


def measure(job: Job) -> dict[str, Any]:
    import duckdb

    question = Question.of(job)
    n_rows, n_wanted = job.sizes["n_source"], job.sizes["n_small"]
    wanted = ", ".join(str(i * 7_368_787 % n_rows) for i in range(n_wanted))  # a prime
    file = f"read_parquet('{job.path(question.file)}', file_row_number=true)"
    sums = "sum(user_id), sum(epoch_us(event_timestamp)), sum(epoch_us(created))"
    db = duckdb.connect(config={"threads": job.threads})

    def read() -> Any:
        db.sql(f"SELECT {sums} FROM {file}").fetchall()
        features = ", ".join(question.features)
        return db.sql(
            f"SELECT {features} FROM {file} WHERE file_row_number IN ({wanted})"
        ).to_arrow_table()

    _, figures = timed(read)
    return result(figures | {"beyond_mb": figures["peak_mb"] - figures["before_mb"]})


if __name__ == "__main__":
    main(measure)
