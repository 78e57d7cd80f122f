"""Rows that were corrected later: equal event times, other created times."""

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

account = Entity(name="account", value_type=ValueType.INT64)
balances = FeatureView(
    name="balances",
    entities=[account],
    schema=[Field(name="cents", dtype=Int64)],
    source=FileSource(
        path="data/balances.parquet", timestamp_field="day", created_timestamp_column="booked"
    ),
)
