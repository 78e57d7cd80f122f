"""Keys that are texts of all kinds."""

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64, String

word = Entity(name="word", value_type=ValueType.STRING)
counts = FeatureView(
    name="counts",
    entities=[word],
    schema=[Field(name="n", dtype=Int64), Field(name="first", dtype=String)],
    source=FileSource(path="data/words.parquet", timestamp_field="ts"),
)
