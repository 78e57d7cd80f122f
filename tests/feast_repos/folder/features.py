"""A source that is a folder of files."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

line = Entity(name="line", join_keys=["line_id"], value_type=ValueType.INT64)
delays = FeatureView(
    name="delays",
    entities=[line],
    ttl=timedelta(days=2),
    schema=[Field(name="minutes", dtype=Int64)],
    source=FileSource(path="data/delays/", timestamp_field="ts", created_timestamp_column="made"),
)
