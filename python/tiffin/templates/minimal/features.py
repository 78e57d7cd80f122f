"""What this repo defines. ``tiffin plan`` shows what would change, ``tiffin apply`` does it."""

from datetime import timedelta

from tiffin import Entity, FeatureService, FeatureView, Field, FileSource
from tiffin.types import Float32, Int64

driver = Entity(name="driver", join_keys=["driver_id"], value_type=Int64)

driver_stats_source = FileSource(
    name="driver_stats_source",
    path="data/driver_stats.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)

driver_stats = FeatureView(
    name="driver_stats",
    entities=[driver],
    ttl=timedelta(days=7),
    schema=[
        Field(name="trips_today", dtype=Int64),
        Field(name="rating", dtype=Float32),
    ],
    source=driver_stats_source,
)

driver_model = FeatureService(name="driver_model", features=[driver_stats])
