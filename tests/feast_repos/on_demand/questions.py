"""In training and online the same function, on the same values."""

from rows import hours, save, spine, times

DIFFERS = {"training": 39, "full names": 40}
FEATURES = ["stats:trips", "in_pandas:total", "in_pandas:where", "in_python:sum"]


def write(folder):
    n = 40
    save(
        folder / "data" / "stats.parquet",
        driver_id=[i % 4 for i in range(n)],
        event_timestamp=times([hours(i) for i in range(n)]),
        trips=[i * 7 for i in range(n)],
        rate=[i / 3 for i in range(n)],
    )


def ask(store, answer):
    rows = spine([5, 20, 39], driver_id=[1, 2, 3], bonus=[10, 20, 30], town=["a", "b\u00e9", ""])
    answer("training", lambda: store.get_historical_features(rows, FEATURES).to_arrow())
    missing = rows.drop(columns="bonus")
    answer("no bonus", lambda: store.get_historical_features(missing, FEATURES).to_arrow())
    store.materialize(hours(0), hours(100))
    asked = [
        {"driver_id": 0, "bonus": 5, "town": "x"},
        {"driver_id": 3, "bonus": -5, "town": "y"},
    ]
    answer("online", lambda: store.get_online_features(FEATURES, asked).to_dict())
    answer(
        "full names",
        lambda: store.get_online_features(FEATURES[1:], asked, full_feature_names=True).to_dict(),
    )
    short = [{"driver_id": 0, "town": "x"}]
    answer("online without bonus", lambda: store.get_online_features(FEATURES, short).to_dict())
