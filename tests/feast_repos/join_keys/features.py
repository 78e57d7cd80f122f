"""Entities whose names are not those of their columns, two views apart."""

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64, String

buyer = Entity(name="buyer", join_keys=["buyer_id"], value_type=ValueType.INT64)
seller = Entity(name="seller", join_keys=["seller_id"], value_type=ValueType.STRING)
buyers = FeatureView(
    name="buyers",
    entities=[buyer],
    schema=[Field(name="orders", dtype=Int64), Field(name="buyer_id", dtype=Int64)],
    source=FileSource(path="data/buyers.parquet", timestamp_field="ts"),
)
sellers = FeatureView(
    name="sellers",
    entities=[seller],
    schema=[Field(name="stock", dtype=Int64), Field(name="seller_id", dtype=String)],
    source=FileSource(path="data/sellers.parquet", timestamp_field="ts"),
)
