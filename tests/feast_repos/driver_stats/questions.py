"""What the quickstart does, in its order."""

import pandas as pd
from rows import hours, save, spine, times

DIFFERS = {"by service": 39, "too old for a first increment": 42}
FEATURES = [
    "driver_hourly_stats:conv_rate",
    "driver_hourly_stats:acc_rate",
    "driver_hourly_stats:avg_daily_trips",
    "transformed_conv_rate:conv_rate_plus_val1",
    "transformed_conv_rate:conv_rate_plus_val2",
]


def write(folder):
    n = 150
    save(
        folder / "data" / "driver_stats.parquet",
        event_timestamp=times([hours(i // 5) for i in range(n)]),
        driver_id=[1001 + i % 5 for i in range(n)],
        conv_rate=[(i * 37 % 100) / 128 for i in range(n)],
        acc_rate=[(i * 53 % 100) / 128 for i in range(n)],
        avg_daily_trips=[i * 71 % 1000 for i in range(n)],
        created=times([hours(i // 5 + 1) for i in range(n)]),
    )


def ask(store, answer):
    rows = spine(
        [10.5, 8.2, 16.66, 70],
        driver_id=[1001, 1002, 1003, 1004],
        label_driver_reported_satisfaction=[1, 5, 3, 2],
        val_to_add=[1, 2, 3, 4],
        val_to_add_2=[10, 20, 30, 40],
    )
    answer("training", lambda: store.get_historical_features(rows, FEATURES).to_arrow())
    v1, v2 = (store.get_feature_service(f"driver_activity_v{i}") for i in (1, 2))
    answer("by service", lambda: store.get_historical_features(rows, v1).to_arrow())
    store.materialize_incremental(end_date=hours(20))
    drivers = [
        {"driver_id": 1001, "val_to_add": 1000, "val_to_add_2": 2000},
        {"driver_id": 1002, "val_to_add": 1001, "val_to_add_2": 2002},
    ]
    answer(
        "too old for a first increment", lambda: store.get_online_features(v2, drivers).to_dict()
    )
    store.materialize(hours(0), hours(20))
    answer("online", lambda: store.get_online_features(FEATURES, drivers).to_dict())
    answer("online by service", lambda: store.get_online_features(v1, drivers).to_dict())
    event = pd.DataFrame(
        {
            "driver_id": [1001],
            "event_timestamp": [hours(31)],
            "created": [hours(31)],
            "conv_rate": [1.0],
            "acc_rate": [0.5],
            "avg_daily_trips": [1000],
        }
    )
    store.push("driver_stats_push_source", event)
    fresh = ["driver_hourly_stats_fresh:conv_rate", "driver_hourly_stats_fresh:avg_daily_trips"]
    answer("after a push", lambda: store.get_online_features(fresh, drivers[:1]).to_dict())
