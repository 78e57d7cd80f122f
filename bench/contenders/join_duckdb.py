"""The same training set by DuckDB's ASOF join, in the order of the entity rows."""

from typing import Any

from contender import FEATURES, TTL_DAYS, Job, check_table, main, read_spine, result, timed


def asof_join(path: str) -> str:
    """SQL over the entity rows `spine`, which have their number in `i`."""
    fresh = f"f.event_timestamp >= s.event_timestamp - INTERVAL {TTL_DAYS} DAYS"
    features = ", ".join(f"CASE WHEN {fresh} THEN f.{n} END AS {n}" for n in FEATURES)
    return f"""
        SELECT s.user_id, s.event_timestamp, s.label, {features}
        FROM spine AS s ASOF LEFT JOIN read_parquet('{path}') AS f
          ON s.user_id = f.user_id AND s.event_timestamp >= f.event_timestamp
        ORDER BY s.i"""


def measure(job: Job) -> dict[str, Any]:
    import duckdb
    import numpy as np

    spine = read_spine(job)
    db = duckdb.connect(config={"threads": job.threads})
    db.execute("SET TimeZone = 'UTC'")

    def join() -> Any:
        numbered = spine.append_column("i", [np.arange(spine.num_rows)])
        db.register("spine", numbered)
        return db.sql(asof_join(job.path("s10.parquet"))).to_arrow_table()

    table, figures = timed(join)
    return result(figures, check_table(table))


if __name__ == "__main__":
    main(measure)
