"""Features of the whole: a view without entities, beside one that has one."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

market = FeatureView(
    name="market",
    entities=[],
    ttl=timedelta(days=3),
    schema=[Field(name="index", dtype=Float64)],
    source=FileSource(path="data/market.parquet", timestamp_field="ts"),
)
stock = Entity(name="stock", value_type=ValueType.STRING)
stocks = FeatureView(
    name="stocks",
    entities=[stock],
    schema=[Field(name="volume", dtype=Int64)],
    source=FileSource(path="data/stocks.parquet", timestamp_field="ts"),
)
