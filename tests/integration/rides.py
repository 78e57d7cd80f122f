"""A small world: drivers' figures in a Parquet file, and their definitions."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tiffin import Entity, FeatureService, FeatureView, Field, FileSource
from tiffin.types import Float32, Int64, String


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)


def drivers() -> pa.Table:
    day = [1, 2, 3, 2, 3, 1]
    return pa.table(
        {
            "driver_id": pa.array([1, 1, 1, 2, 2, 3], pa.int64()),
            "event_timestamp": pa.array([utc(2024, 1, d) for d in day], pa.timestamp("us", "UTC")),
            "created": pa.array([utc(2024, 1, d, 6) for d in day], pa.timestamp("us", "UTC")),
            "trips": pa.array([10, 20, 30, 200, None, 1000], pa.int64()),
            "rate": pa.array([0.5, 1.5, float("nan"), 2.5, None, 9.5], pa.float32()),
            "city": pa.array(["a", "b", "c", "ü", None, ""], pa.string()),
        }
    )


def write_drivers(path: Path) -> None:
    pq.write_table(drivers(), path)


def definitions():
    """The definitions that fit `drivers`."""
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=Int64)
    source = FileSource(
        name="drivers",
        path="data/drivers.parquet",
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    view = FeatureView(
        name="stats",
        entities=[driver],
        source=source,
        ttl=dt.timedelta(days=7),
        schema=[
            Field(name="trips", dtype=Int64),
            Field(name="rate", dtype=Float32),
            Field(name="city", dtype=String),
        ],
    )
    service = FeatureService(name="model", features=[view[["city", "trips"]]])
    return driver, source, view, service
