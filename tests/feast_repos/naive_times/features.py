"""Times without a zone, in the file and in the rows: both are UTC."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

room = Entity(name="room", value_type=ValueType.INT64)
climate = FeatureView(
    name="climate",
    entities=[room],
    ttl=timedelta(hours=3),
    schema=[Field(name="degrees", dtype=Float64)],
    source=FileSource(path="data/climate.parquet", timestamp_field="measured"),
)
