"""A view by two keys, one by the first of them, one by the second."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Int64, String

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
shop = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.INT64)
pairs = FeatureView(
    name="pairs",
    entities=[customer, shop],
    ttl=timedelta(days=1),
    schema=[
        Field(name="visits", dtype=Int64),
        Field(name="customer_id", dtype=String),
        Field(name="shop_id", dtype=Int64),
    ],
    source=FileSource(path="data/pairs.parquet", timestamp_field="ts"),
)
customers = FeatureView(
    name="customers",
    entities=[customer],
    ttl=timedelta(days=1),
    schema=[Field(name="spent", dtype=Float32)],
    source=FileSource(path="data/customers.parquet", timestamp_field="ts"),
)
shops = FeatureView(
    name="shops",
    entities=[shop],
    schema=[Field(name="open", dtype=Int64)],
    source=FileSource(path="data/shops.parquet", timestamp_field="ts"),
)
