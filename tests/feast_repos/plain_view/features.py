"""One view of one file, without a ttl."""

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64, String

driver = Entity(name="driver_id", value_type=ValueType.INT64)
trips = FileSource(path="data/trips.parquet", timestamp_field="event_timestamp")
stats = FeatureView(
    name="stats",
    entities=[driver],
    schema=[
        Field(name="trips", dtype=Int64),
        Field(name="rate", dtype=Float64),
        Field(name="city", dtype=String),
    ],
    source=trips,
)
