"""A null is a null; a newer null hides an older value."""

import pandas as pd
import pyarrow as pa
from rows import hours, save, spine, times

FEATURES = ["facts:count", "facts:weight", "facts:colour"]
DIFFERS = {"a null key online": 23}


def write(folder):
    save(
        folder / "data" / "facts.parquet",
        part=[1, 1, 2, 3, 3],
        ts=times([hours(i) for i in (1, 5, 2, 3, 4)]),
        count=pa.array([10, None, None, 30, 31], pa.int64()),
        weight=pa.array([1.0, None, float("nan"), None, 3.5], pa.float64()),
        colour=pa.array(["red", None, "", None, "blue"], pa.string()),
    )


def ask(store, answer):
    rows = spine([2, 6, 6, 3, 6], part=[1, 1, 2, 3, 3])
    answer("training", lambda: store.get_historical_features(rows, FEATURES).to_arrow())
    unknown = spine([6, 6], part=pd.array([None, 3], "Int64"))
    answer("a null key", lambda: store.get_historical_features(unknown, FEATURES).to_arrow())
    store.materialize(hours(0), hours(50))
    answer("online", lambda: store.get_online_features(FEATURES, {"part": [1, 2, 3]}).to_dict())
    keys = {"part": [None, 3]}
    answer("a null key online", lambda: store.get_online_features(FEATURES, keys).to_dict())
