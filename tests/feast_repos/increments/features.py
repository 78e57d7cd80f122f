"""A view that is loaded step by step."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

meter = Entity(name="meter", value_type=ValueType.INT64)
usage = FeatureView(
    name="usage",
    entities=[meter],
    ttl=timedelta(days=10000),
    schema=[Field(name="watts", dtype=Int64)],
    source=FileSource(path="data/usage.parquet", timestamp_field="ts"),
)
