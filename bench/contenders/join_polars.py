"""The same training set by Polars' join_asof, in the order of the entity rows."""

from typing import Any

from contender import FEATURES, TTL_DAYS, Job, check_table, main, read_spine, result, timed


def measure(job: Job) -> dict[str, Any]:
    import polars as pl

    spine = read_spine(job)
    time = "event_timestamp"

    def join() -> Any:
        right = pl.scan_parquet(job.path("s10.parquet")).select("user_id", time, *FEATURES)
        left = pl.DataFrame(spine).lazy().with_row_index("i").sort(time)
        joined = left.join_asof(
            right.set_sorted(time),
            on=time,
            by="user_id",
            strategy="backward",
            tolerance=f"{TTL_DAYS}d",
            check_sortedness=False,
        )
        return joined.sort("i").drop("i").collect(engine=job.params["engine"]).to_arrow()

    table, figures = timed(join)
    return result(figures, check_table(table), {"threads": pl.thread_pool_size()})


if __name__ == "__main__":
    main(measure)
