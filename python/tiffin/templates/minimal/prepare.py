"""Write a little data to begin with: hourly statistics of three drivers over two days.

usage: python prepare.py [START]     START: a time in ISO 8601, UTC; default: two days ago
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

HOURS = 48
DRIVERS = (1001, 1002, 1003)


def main(arguments: list[str]) -> None:
    """Write data/driver_stats.parquet."""
    if arguments:
        start = datetime.fromisoformat(arguments[0]).replace(tzinfo=UTC)
    else:
        this_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        start = this_hour - timedelta(hours=HOURS)
    rows = [
        {
            "driver_id": driver,
            "event_timestamp": start + timedelta(hours=hour),
            "created": start + timedelta(hours=hour, minutes=10),
            "trips_today": (hour % 24) // (driver - 999),
            "rating": 4.0 + (hour * driver % 10) / 10,
        }
        for hour in range(HOURS)
        for driver in DRIVERS
    ]
    schema = pa.schema(
        [
            ("driver_id", pa.int64()),
            ("event_timestamp", pa.timestamp("us", "UTC")),
            ("created", pa.timestamp("us", "UTC")),
            ("trips_today", pa.int64()),
            ("rating", pa.float32()),
        ]
    )
    path = Path(__file__).parent / "data" / "driver_stats.parquet"
    path.parent.mkdir(exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    print(f"{path} written: {len(rows)} rows from {start:%Y-%m-%d %H:%M} UTC on")


if __name__ == "__main__":
    main(sys.argv[1:])
