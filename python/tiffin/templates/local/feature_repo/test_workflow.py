"""Every step from Python, after `tiffin apply`: train, score, load, look up, push.

usage: python test_workflow.py
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tiffin import FeatureStore
from tiffin.data_source import PushMode

# What was asked of three drivers in April 2021, and how it ended.
LABELLED = [
    {
        "driver_id": 1001,
        "event_timestamp": datetime(2021, 4, 12, 10, 59, 42, tzinfo=UTC),
        "label_driver_reported_satisfaction": 1,
        "val_to_add": 1,
        "val_to_add_2": 10,
    },
    {
        "driver_id": 1002,
        "event_timestamp": datetime(2021, 4, 12, 8, 12, 10, tzinfo=UTC),
        "label_driver_reported_satisfaction": 5,
        "val_to_add": 2,
        "val_to_add_2": 20,
    },
    {
        "driver_id": 1003,
        "event_timestamp": datetime(2021, 4, 12, 16, 40, 26, tzinfo=UTC),
        "label_driver_reported_satisfaction": 3,
        "val_to_add": 3,
        "val_to_add_2": 30,
    },
]
FEATURES = [
    "driver_hourly_stats:conv_rate",
    "driver_hourly_stats:acc_rate",
    "driver_hourly_stats:avg_daily_trips",
    "transformed_conv_rate:conv_rate_plus_val1",
    "transformed_conv_rate:conv_rate_plus_val2",
]


def show(title: str, columns: dict[str, list[Any]]) -> None:
    """Print columns, one a line."""
    print(f"\n--- {title}")
    for name, values in columns.items():
        print(f"{name}: {values}")


def training_set(store: FeatureStore, rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return what was known of each driver at the time of its row."""
    job = store.get_historical_features(entity_df=rows, features=FEATURES)
    columns: dict[str, list[Any]] = job.to_arrow().to_pydict()
    return columns


def lookup(store: FeatureStore, features: list[str] | str) -> dict[str, list[Any]]:
    """Return the newest values of two drivers; a text is the name of a service."""
    rows = [
        {"driver_id": 1001, "val_to_add": 1000, "val_to_add_2": 2000},
        {"driver_id": 1002, "val_to_add": 1001, "val_to_add_2": 2002},
    ]
    wanted = store.get_feature_service(features) if isinstance(features, str) else features
    return store.get_online_features(features=wanted, entity_rows=rows).to_dict()


def main() -> None:
    """Do all steps in turn."""
    store = FeatureStore(repo_path=Path(__file__).parent)
    now = datetime.now(UTC)

    show("Features for training", training_set(store, LABELLED))
    today = [{**row, "event_timestamp": now} for row in LABELLED]
    show("Features for scoring a batch", training_set(store, today))

    report = store.materialize_incremental(end_date=now)
    print(f"\n--- Loaded into the online store\n{report}")
    show("Online features", lookup(store, FEATURES[1:]))
    show("Those of a feature service", lookup(store, "driver_activity_v1"))

    event = {
        "driver_id": [1001],
        "event_timestamp": [now],
        "created": [now],
        "conv_rate": [1.0],
        "acc_rate": [1.0],
        "avg_daily_trips": [1000],
    }
    print("\n--- A row is pushed")
    print(store.push("driver_stats_push_source", event, to=PushMode.ONLINE_AND_OFFLINE))
    show("Features that are pushed", lookup(store, "driver_activity_v3"))


if __name__ == "__main__":
    main()
