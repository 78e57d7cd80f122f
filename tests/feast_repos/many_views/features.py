"""Views of one entity that share names of features."""

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

card = Entity(name="card", value_type=ValueType.INT64)


def window(days):
    return FeatureView(
        name=f"last_{days}d",
        entities=[card],
        schema=[Field(name="payments", dtype=Int64), Field(name=f"max_{days}d", dtype=Int64)],
        source=FileSource(path=f"data/w{days}.parquet", timestamp_field="ts"),
    )


one, seven, thirty = window(1), window(7), window(30)
