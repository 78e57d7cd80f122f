"""Services that pick features of two views, with tags and owners."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float32, Int64

item = Entity(name="item", value_type=ValueType.INT64, description="what is sold")
sales = FeatureView(
    name="sales",
    entities=[item],
    ttl=timedelta(days=7),
    schema=[Field(name="sold", dtype=Int64), Field(name="returned", dtype=Int64)],
    source=FileSource(path="data/sales.parquet", timestamp_field="ts"),
    tags={"team": "shop"},
    owner="shop@example.org",
)
ratings = FeatureView(
    name="ratings",
    entities=[item],
    ttl=timedelta(days=7),
    schema=[Field(name="stars", dtype=Float32), Field(name="votes", dtype=Int64)],
    source=FileSource(path="data/ratings.parquet", timestamp_field="ts"),
    tags={"team": "web"},
)
ranking = FeatureService(
    name="ranking",
    features=[sales[["sold"]], ratings],
    tags={"model": "ranker", "stage": "live"},
    description="what the ranker reads",
    owner="ml@example.org",
)
small = FeatureService(name="small", features=[ratings[["votes"]]], tags={"model": "ranker"})
