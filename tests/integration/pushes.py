"""A small world that is pushed to: two views on one push source before a folder of files."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tiffin import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource
from tiffin.types import Float32, Int32, Int64, String

T0 = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def rides(**changes: Any) -> pa.Table:
    """Two rides of two drivers, of the types that the files have."""
    columns = {
        "driver_id": pa.array([1, 2], pa.int64()),
        "event_timestamp": pa.array([T0, T0], pa.timestamp("us", "UTC")),
        "created": pa.array([T0, T0], pa.timestamp("us", "UTC")),
        "trips": pa.array([10, 20], pa.int64()),
        "grade": pa.array([1, 2], pa.int32()),
        "km_total": pa.array([0.5, 1.5], pa.float32()),
        "city": pa.array(["a", "b"]),
    }
    return pa.table({**columns, **changes})


def definitions(path: str = "data/rides/", **source: Any) -> list[Any]:
    """Views `stats` (trips, grade, km) and `places` (city), both on the source `rides_push`."""
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=Int64)
    files = FileSource(
        name="rides",
        path=path,
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        field_mapping={"km_total": "km"},
        **source,
    )
    pushed = PushSource(name="rides_push", batch_source=files)
    stats = FeatureView(
        name="stats",
        entities=[driver],
        source=pushed,
        schema=[
            Field(name="trips", dtype=Int64),
            Field(name="grade", dtype=Int32),
            Field(name="km", dtype=Float32),
        ],
    )
    places = FeatureView(
        name="places",
        entities=[driver],
        source=pushed,
        schema=[Field(name="city", dtype=String)],
    )
    return [driver, files, pushed, stats, places]


def make_repo(folder: Path, settings: str = "") -> FeatureStore:
    """A repo whose folder of rides holds one file, applied."""
    (folder / "feature_store.yaml").write_text(f"project: pushes\n{settings}")
    (folder / "data" / "rides").mkdir(parents=True)
    pq.write_table(rides(), folder / "data" / "rides" / "first.parquet")
    store = FeatureStore(repo_path=folder)
    store.apply(definitions())
    return store


def online(store: FeatureStore, *driver_ids: int) -> dict[str, list[Any]]:
    """Newest values of both views."""
    features = ["stats:trips", "stats:grade", "stats:km", "places:city"]
    keys = [{"driver_id": i} for i in driver_ids]
    return store.get_online_features(features, keys).to_dict()


def training(store: FeatureStore, driver_id: int, at: dt.datetime) -> dict[str, Any]:
    """What a training row would get."""
    entities = {"driver_id": [driver_id], "event_timestamp": [at]}
    features = ["stats:trips", "stats:km", "places:city"]
    table = store.get_historical_features(entities, features).to_arrow()
    return {name: table[name][0].as_py() for name in ("trips", "km", "city")}
