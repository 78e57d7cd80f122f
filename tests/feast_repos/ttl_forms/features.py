"""One file under three views: a ttl of an hour, of zero, and none."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
clicks = FileSource(name="clicks", path="data/clicks.parquet", timestamp_field="at")


def view(name, **ttl):
    return FeatureView(
        name=name,
        entities=[user],
        schema=[Field(name="n", dtype=Int64)],
        source=clicks,
        **ttl,
    )


short = view("short", ttl=timedelta(hours=1))
zero = view("zero", ttl=timedelta(0))
none = view("none")
days = view("days", ttl=timedelta(days=2, seconds=1))
