"""Features that are computed when they are asked for, from a view and from the request."""

from datetime import timedelta

import pandas as pd
from feast import Entity, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
stats = FeatureView(
    name="stats",
    entities=[driver],
    ttl=timedelta(days=1),
    schema=[Field(name="trips", dtype=Int64), Field(name="rate", dtype=Float64)],
    source=FileSource(path="data/stats.parquet", timestamp_field="event_timestamp"),
)
request = RequestSource(
    name="request",
    schema=[Field(name="bonus", dtype=Int64), Field(name="town", dtype=String)],
)


@on_demand_feature_view(
    sources=[stats, request],
    schema=[Field(name="total", dtype=Float64), Field(name="where", dtype=String)],
)
def in_pandas(inputs: pd.DataFrame) -> pd.DataFrame:
    found = pd.DataFrame()
    found["total"] = inputs["rate"] * 2 + inputs["bonus"]
    found["where"] = inputs["town"].str.upper()
    return found


@on_demand_feature_view(
    sources=[stats, request], schema=[Field(name="sum", dtype=Int64)], mode="python"
)
def in_python(inputs: dict) -> dict:
    return {"sum": [t + b for t, b in zip(inputs["trips"], inputs["bonus"], strict=True)]}
