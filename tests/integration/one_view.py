"""A store with one view over one Parquet file, made of whatever table a test needs."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tiffin import Entity, FeatureStore, FeatureView, FileSource

DAY = dt.timedelta(days=1)


def start(days: float = 0) -> dt.datetime:
    """The first of January of 2024, and so many days."""
    return dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + days * DAY


def times(days: Any, unit: str = "us") -> pa.Array:
    """Instants so many days after the first of January."""
    return pa.array([None if d is None else start(d) for d in days], pa.timestamp(unit, "UTC"))


def store_of(
    folder: Path, table: pa.Table, ttl: dt.timedelta | None = None, **write: Any
) -> FeatureStore:
    """A store whose view ``facts`` has all columns but ``k``, ``event_timestamp``, ``created``."""
    (folder / "feature_store.yaml").write_text("project: one\noffline_store: {threads: 2}\n")
    pq.write_table(table, folder / "facts.parquet", **write)
    created = "created" if "created" in table.column_names else ""
    source = FileSource(
        name="rows",
        path="facts.parquet",
        timestamp_field="event_timestamp",
        created_timestamp_column=created,
    )
    key = Entity(name="key", join_keys=["k"])
    store = FeatureStore(folder)
    store.apply([key, source, FeatureView(name="facts", entities=[key], source=source, ttl=ttl)])
    return store
