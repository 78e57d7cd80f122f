"""A view that is pushed to, and one of the same file that is not."""

from feast import Entity, FeatureView, Field, FileSource, PushSource, ValueType
from feast.types import Float64, Int64, String

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
visits = FileSource(name="visits", path="data/visits.parquet", timestamp_field="ts")
visit_push = PushSource(name="visit_push", batch_source=visits)
schema = [
    Field(name="pages", dtype=Int64),
    Field(name="seconds", dtype=Float64),
    Field(name="page", dtype=String),
]
live = FeatureView(name="live", entities=[user], schema=schema, source=visit_push)
nightly = FeatureView(name="nightly", entities=[user], schema=schema, source=visits)
