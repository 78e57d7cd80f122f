"""Features that are lists."""

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Bool, Float32, Float64, Int64, String

doc = Entity(name="doc", value_type=ValueType.INT64)
vectors = FeatureView(
    name="vectors",
    entities=[doc],
    schema=[
        Field(name="embedding", dtype=Array(Float32)),
        Field(name="scores", dtype=Array(Float64)),
        Field(name="ids", dtype=Array(Int64)),
        Field(name="tags", dtype=Array(String)),
        Field(name="flags", dtype=Array(Bool)),
    ],
    source=FileSource(path="data/vectors.parquet", timestamp_field="ts"),
)
