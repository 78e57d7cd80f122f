"""One repo that Feast and Tiffin both serve: only the package that it imports differs."""

import datetime as dt
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FEATURES = """
from datetime import timedelta
from {package} import Entity, FeatureService, FeatureView, Field, FileSource, PushSource
from {package} import ValueType
from {package}.types import Array, Bytes, Float64, Int64, String, UnixTimestamp

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
files = FileSource(
    name="files",
    path="{folder}/rides.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
rides_push = PushSource(name="rides_push", batch_source=files)
unused_push = PushSource(name="unused_push", batch_source=files)
stats = FeatureView(
    name="stats",
    entities=[driver],
    ttl=timedelta(days=36500),
    schema=[
        Field(name="trips", dtype=Int64),
        Field(name="rate", dtype=Float64),
        Field(name="city", dtype=String),
        Field(name="at", dtype=UnixTimestamp),
        Field(name="scores", dtype=Array(Float64)),
    ],
    source=rides_push,
)
plain = FeatureView(
    name="plain",
    entities=[driver],
    ttl=timedelta(days=36500),
    schema=[Field(name="trips", dtype=Int64)],
    source=files,
)
kept = FeatureView(
    name="kept",
    entities=[driver],
    ttl=timedelta(days=36500),
    schema=[Field(name="trips", dtype=Int64)],
    source=files,
    online=False,
)
model = FeatureService(name="model", features=[stats[["trips", "rate"]]])
"""

YAML = {
    "feast": """project: served
provider: local
registry: registry.db
online_store: {type: sqlite, path: online.db}
offline_store: {type: dask}
entity_key_serialization_version: 3
""",
    "tiffin": "project: served\nonline_store: {type: lmdb, path: online}\n",
}


def rides() -> pa.Table:
    """What the files hold: three drivers, an event each, on the first day of 2024."""
    at = [dt.datetime(2024, 1, 1, hour, tzinfo=dt.UTC) for hour in (1, 2, 3)]
    utc = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "driver_id": pa.array([1, 2, 3], pa.int64()),
            "event_timestamp": pa.array(at, utc),
            "created": pa.array(at, utc),
            "trips": pa.array([10, 20, 30], pa.int64()),
            "rate": pa.array([0.5, 1.0, None], pa.float64()),
            "city": pa.array(["a", "b", "c"], pa.string()),
            "at": pa.array(at, utc),
            "scores": pa.array([[0.5], [], None], pa.list_(pa.float64())),
        }
    )


def write_repo(folder: Path, package: str) -> Path:
    """Make the repo of one of the two; it is not applied."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pq.write_table(rides(), folder / "rides.parquet")
    (folder / "feature_store.yaml").write_text(YAML[package])
    (folder / "features.py").write_text(FEATURES.format(package=package, folder=folder))
    return folder
