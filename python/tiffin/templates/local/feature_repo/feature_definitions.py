"""What this repo defines: two views of drivers' figures, and what a model computes from them."""

from datetime import timedelta
from typing import Any

from tiffin import (
    Entity,
    FeatureService,
    FeatureView,
    Field,
    FileSource,
    PushSource,
    RequestSource,
    ValueType,
    on_demand_feature_view,
)
from tiffin.types import Float32, Float64, Int64

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)

# Relative paths start at the folder of feature_store.yaml. This one is a folder of files, so that
# pushed rows can be added. `created` says when a row was written: of two rows of one driver and
# hour the one that was written last counts.
hourly_stats = FileSource(
    name="driver_hourly_stats_source",
    path="data/driver_stats.parquet/",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)

FIGURES = [
    Field(name="conv_rate", dtype=Float32, description="share of offers that were accepted"),
    Field(name="acc_rate", dtype=Float32, description="share of rides without a complaint"),
    Field(name="avg_daily_trips", dtype=Int64),
]

# Read from the file alone: rows get online by `tiffin materialize`.
driver_hourly_stats = FeatureView(
    name="driver_hourly_stats",
    entities=[driver],
    ttl=timedelta(days=1),
    schema=FIGURES,
    source=hourly_stats,
    tags={"team": "driver_performance"},
)

# The same figures, for programs that know them at once: these push rows, without waiting for files.
driver_stats_push_source = PushSource(name="driver_stats_push_source", batch_source=hourly_stats)

driver_hourly_stats_fresh = FeatureView(
    name="driver_hourly_stats_fresh",
    entities=[driver],
    ttl=timedelta(days=1),
    schema=FIGURES,
    source=driver_stats_push_source,
    tags={"team": "driver_performance"},
)

# What only the caller knows: a column of the training data, a field of the request online.
request = RequestSource(
    name="vals_to_add",
    schema=[Field(name="val_to_add", dtype=Int64), Field(name="val_to_add_2", dtype=Int64)],
)

SUMS = [
    Field(name="conv_rate_plus_val1", dtype=Float64),
    Field(name="conv_rate_plus_val2", dtype=Float64),
]


def add(rates: list[float | None], values: list[int]) -> list[float | None]:
    """Return sums, row by row; a rate that is not known has none."""
    return [None if r is None else r + v for r, v in zip(rates, values, strict=True)]


@on_demand_feature_view(sources=[driver_hourly_stats, request], schema=SUMS, mode="python")
def transformed_conv_rate(inputs: dict[str, Any]) -> dict[str, Any]:
    """Compute from the rate as of the last materialization."""
    return {
        "conv_rate_plus_val1": add(inputs["conv_rate"], inputs["val_to_add"]),
        "conv_rate_plus_val2": add(inputs["conv_rate"], inputs["val_to_add_2"]),
    }


@on_demand_feature_view(sources=[driver_hourly_stats_fresh, request], schema=SUMS, mode="python")
def transformed_conv_rate_fresh(inputs: dict[str, Any]) -> dict[str, Any]:
    """Compute from the rate as of the last push."""
    return {
        "conv_rate_plus_val1": add(inputs["conv_rate"], inputs["val_to_add"]),
        "conv_rate_plus_val2": add(inputs["conv_rate"], inputs["val_to_add_2"]),
    }


# One service for each version of a model: what it reads has one name, in training and online.
driver_activity_v1 = FeatureService(
    name="driver_activity_v1", features=[driver_hourly_stats[["conv_rate"]], transformed_conv_rate]
)
driver_activity_v2 = FeatureService(
    name="driver_activity_v2", features=[driver_hourly_stats, transformed_conv_rate]
)
driver_activity_v3 = FeatureService(
    name="driver_activity_v3", features=[driver_hourly_stats_fresh, transformed_conv_rate_fresh]
)
