"""A shop: customers and products, by both and by neither, aliases, pushes, on-demand prices."""

from datetime import timedelta

from feast import (
    Entity,
    FeatureService,
    FeatureView,
    Field,
    FileSource,
    PushSource,
    RequestSource,
    ValueType,
)
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float64, Int64, String

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)
product = Entity(name="product", join_keys=["product_id"], value_type=ValueType.STRING)
people = FeatureView(
    name="people",
    entities=[customer],
    ttl=timedelta(days=30),
    schema=[Field(name="age", dtype=Int64), Field(name="interests", dtype=Array(String))],
    source=FileSource(
        path="data/people.parquet", timestamp_field="ts", created_timestamp_column="made"
    ),
    tags={"team": "crm"},
)
price_file = FileSource(
    name="price_file",
    path="data/prices.parquet",
    timestamp_field="ts",
)
price_push = PushSource(name="price_push", batch_source=price_file)
prices = FeatureView(
    name="prices",
    entities=[product],
    schema=[Field(name="price", dtype=Float64)],
    source=price_push,
)
baskets = FeatureView(
    name="baskets",
    entities=[customer, product],
    ttl=timedelta(hours=6),
    schema=[Field(name="times_seen", dtype=Int64)],
    source=FileSource(path="data/baskets.parquet", timestamp_field="ts"),
)
order = RequestSource(name="order", schema=[Field(name="pieces", dtype=Int64)])


@on_demand_feature_view(
    sources=[prices, order], schema=[Field(name="amount", dtype=Float64)], mode="python"
)
def totals(inputs: dict) -> dict:
    pairs = zip(inputs["price"], inputs["pieces"], strict=True)
    return {"amount": [None if p is None else p * n for p, n in pairs]}


checkout = FeatureService(
    name="checkout", features=[people[["age"]], prices, baskets, totals], tags={"live": "yes"}
)
gift = FeatureService(
    name="gift",
    features=[
        people[["age"]],
        people.with_name("buyer").with_join_key_map({"customer_id": "buyer_id"}),
    ],
)
