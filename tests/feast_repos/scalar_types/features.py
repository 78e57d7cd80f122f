"""Features of every plain type."""

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Bool, Bytes, Float32, Float64, Int32, Int64, String, UnixTimestamp

thing = Entity(name="thing", value_type=ValueType.INT32)
values = FeatureView(
    name="values",
    entities=[thing],
    schema=[
        Field(name="flag", dtype=Bool),
        Field(name="small", dtype=Int32),
        Field(name="large", dtype=Int64),
        Field(name="single", dtype=Float32),
        Field(name="double", dtype=Float64),
        Field(name="text", dtype=String),
        Field(name="raw", dtype=Bytes),
        Field(name="at", dtype=UnixTimestamp),
    ],
    source=FileSource(path="data/values.parquet", timestamp_field="ts"),
)
