"""Write a little data to begin with: hourly statistics of three drivers over two days."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = 48
DRIVERS = (1001, 1002, 1003)


def main() -> None:
    """Write data/driver_stats.parquet."""
    rows = [
        {
            "driver_id": driver,
            "event_timestamp": START + timedelta(hours=hour),
            "created": START + timedelta(hours=hour, minutes=10),
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
    print(f"{path} written: {len(rows)} rows")


if __name__ == "__main__":
    main()
