"""Entity rows that are equal, and rows of the source that are not."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

page = Entity(name="page", value_type=ValueType.INT64)
views = FeatureView(
    name="views",
    entities=[page],
    ttl=timedelta(hours=5),
    schema=[Field(name="n", dtype=Int64)],
    source=FileSource(path="data/views.parquet", timestamp_field="ts"),
)
