"""The drivers of the quickstart: corrections, pushes, services, on-demand features."""

from datetime import timedelta

import pandas as pd
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
from feast.types import Float32, Float64, Int64

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
hourly = FileSource(
    name="driver_hourly_stats_source",
    path="data/driver_stats.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
schema = [
    Field(name="conv_rate", dtype=Float32),
    Field(name="acc_rate", dtype=Float32),
    Field(name="avg_daily_trips", dtype=Int64, description="of the last day"),
]
day = timedelta(days=1)
stats = FeatureView(
    name="driver_hourly_stats",
    entities=[driver],
    ttl=day,
    schema=schema,
    online=True,
    source=hourly,
    tags={"team": "driver_performance"},
)
pushed = PushSource(name="driver_stats_push_source", batch_source=hourly)
fresh = FeatureView(
    name="driver_hourly_stats_fresh",
    entities=[driver],
    ttl=day,
    schema=schema,
    online=True,
    source=pushed,
)
vals = RequestSource(
    name="vals_to_add",
    schema=[Field(name="val_to_add", dtype=Int64), Field(name="val_to_add_2", dtype=Int64)],
)


@on_demand_feature_view(
    sources=[stats, vals],
    schema=[
        Field(name="conv_rate_plus_val1", dtype=Float64),
        Field(name="conv_rate_plus_val2", dtype=Float64),
    ],
)
def transformed_conv_rate(inputs: pd.DataFrame) -> pd.DataFrame:
    df = pd.DataFrame()
    df["conv_rate_plus_val1"] = inputs["conv_rate"] + inputs["val_to_add"]
    df["conv_rate_plus_val2"] = inputs["conv_rate"] + inputs["val_to_add_2"]
    return df


activity = FeatureService(
    name="driver_activity_v1", features=[stats[["conv_rate"]], transformed_conv_rate]
)
plain = FeatureService(name="driver_activity_v2", features=[stats])
