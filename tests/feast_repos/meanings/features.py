"""Types that mean more than what holds them: decimals, JSON, maps, structs, sets, UUIDs."""

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Decimal, Int64, Json, Map, Set, String, Struct, Uuid

order = Entity(name="order", value_type=ValueType.INT64)
orders = FeatureView(
    name="orders",
    entities=[order],
    schema=[
        Field(name="id", dtype=Uuid),
        Field(name="price", dtype=Decimal),
        Field(name="note", dtype=Json),
        Field(name="options", dtype=Map),
        Field(name="buyer", dtype=Struct({"name": String, "age": Int64})),
        Field(name="tags", dtype=Set(String)),
        Field(name="sizes", dtype=Set(Int64)),
        Field(name="parts", dtype=Array(Uuid)),
        Field(name="rates", dtype=Array(Decimal)),
    ],
    source=FileSource(path="data/orders.parquet", timestamp_field="ts"),
)
