"""A view that does not say what its features are."""

from feast import Entity, FeatureView, FileSource, ValueType

boat = Entity(name="boat", join_keys=["boat_id"], value_type=ValueType.INT64)
positions = FeatureView(
    name="positions",
    entities=[boat],
    source=FileSource(
        path="data/positions.parquet", timestamp_field="seen", created_timestamp_column="stored"
    ),
)
