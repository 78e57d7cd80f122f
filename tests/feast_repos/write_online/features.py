"""Rows that a program writes itself."""

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Bool, Float32, Int64, String

device = Entity(name="device", join_keys=["device_id"], value_type=ValueType.STRING)
states = FeatureView(
    name="states",
    entities=[device],
    schema=[
        Field(name="on", dtype=Bool),
        Field(name="volts", dtype=Float32),
        Field(name="errors", dtype=Int64),
        Field(name="mode", dtype=String),
    ],
    source=FileSource(path="data/states.parquet", timestamp_field="ts"),
)
