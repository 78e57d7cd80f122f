"""Values that are not there, in a file and in the rows that are asked for."""

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

part = Entity(name="part", value_type=ValueType.INT64)
facts = FeatureView(
    name="facts",
    entities=[part],
    schema=[
        Field(name="count", dtype=Int64),
        Field(name="weight", dtype=Float64),
        Field(name="colour", dtype=String),
    ],
    source=FileSource(path="data/facts.parquet", timestamp_field="ts"),
)
