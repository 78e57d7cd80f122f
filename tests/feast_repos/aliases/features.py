"""One view of places, for where a trip begins and where it ends."""

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Int64, String

place = Entity(name="place", join_keys=["place_id"], value_type=ValueType.INT64)
places = FeatureView(
    name="places",
    entities=[place],
    schema=[Field(name="people", dtype=Int64), Field(name="kind", dtype=String)],
    source=FileSource(path="data/places.parquet", timestamp_field="event_timestamp"),
)
trip = FeatureService(
    name="trip",
    features=[
        places[["people"]].with_name("origin").with_join_key_map({"place_id": "origin_id"}),
        places.with_name("destination").with_join_key_map({"place_id": "destination_id"}),
    ],
)
