"""Columns of the file have other names than keys, times and features."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

sensor = Entity(name="sensor", join_keys=["sensor_id"], value_type=ValueType.INT64)
readings = FileSource(
    name="readings",
    path="data/readings.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
    field_mapping={"id": "sensor_id", "when": "event_timestamp", "t": "temperature"},
)
weather = FeatureView(
    name="weather",
    entities=[sensor],
    ttl=timedelta(hours=12),
    schema=[Field(name="temperature", dtype=Float64), Field(name="humidity", dtype=Int64)],
    source=readings,
)
