"""The data of ``tiffin init -t local``: hourly figures of five drivers, made up.

They are made when a repo is made, so that the newest rows are as new as a first lookup expects;
nothing but the times depends on when that is.
"""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

DRIVERS = (1001, 1002, 1003, 1004, 1005)
HOURS = 15 * 24
# A row of each driver for the training data that Feast's documentation asks for.
LONG_AGO = datetime(2021, 4, 12, 7, tzinfo=UTC)
_SEED = 20210412


def _row(generator: random.Random, driver_id: int, time: datetime) -> dict[str, Any]:
    return {
        "event_timestamp": time,
        "driver_id": driver_id,
        "conv_rate": generator.randrange(1000) / 1000,
        "acc_rate": generator.randrange(1000) / 1000,
        "avg_daily_trips": generator.randrange(1000),
        "created": time + timedelta(minutes=5),
    }


def write_driver_stats(path: Path, end: datetime) -> int:
    """Write a Parquet file of `HOURS` + 1 rows of each driver, and return how many these are.

    Parameters
    ----------
    path : Path
        The file; its folder is made.
    end : datetime
        The newest rows are of the hour before the one that this lies in; with a time zone.
    """
    import pyarrow as pa
    from pyarrow import parquet

    generator = random.Random(_SEED)
    hour = end.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    times = [LONG_AGO, *(hour - timedelta(hours=n) for n in range(HOURS, 0, -1))]
    rows = [_row(generator, driver_id, time) for driver_id in DRIVERS for time in times]
    schema = pa.schema(
        {
            "event_timestamp": pa.timestamp("us", "UTC"),
            "driver_id": pa.int64(),
            "conv_rate": pa.float32(),
            "acc_rate": pa.float32(),
            "avg_daily_trips": pa.int64(),
            "created": pa.timestamp("us", "UTC"),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return len(rows)
