"""A view that is for training only, beside one that is served."""

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

well = Entity(name="well", value_type=ValueType.INT64)
source = FileSource(name="wells", path="data/wells.parquet", timestamp_field="ts")
history = FeatureView(
    name="history",
    entities=[well],
    schema=[Field(name="depth", dtype=Int64)],
    online=False,
    source=source,
)
served = FeatureView(
    name="served",
    entities=[well],
    schema=[Field(name="flow", dtype=Int64)],
    source=source,
)
