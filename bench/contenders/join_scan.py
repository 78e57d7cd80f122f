"""A yardstick: DuckDB reads the same 13 columns and adds them up."""

from typing import Any

from contender import FEATURES, Job, main, result, timed


def measure(job: Job) -> dict[str, Any]:
    import duckdb

    db = duckdb.connect(config={"threads": job.threads})
    times = ", ".join(f"sum(epoch_us({name}))" for name in ("event_timestamp", "created"))
    values = ", ".join(f"sum({name})" for name in ("user_id", *FEATURES))
    sql = f"SELECT {times}, {values} FROM read_parquet('{job.path('s10.parquet')}')"
    _, figures = timed(lambda: db.sql(sql).to_arrow_table())
    return result(figures)


if __name__ == "__main__":
    main(measure)
