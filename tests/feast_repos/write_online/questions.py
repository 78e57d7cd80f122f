"""Data frames and dictionaries of columns; the newest of each key."""

import pandas as pd
from rows import hours, save, times

FEATURES = ["states:on", "states:volts", "states:errors", "states:mode"]


def write(folder):
    save(
        folder / "data" / "states.parquet",
        device_id=["a", "b"],
        ts=times([hours(0), hours(0)]),
        on=[False, True],
        volts=[1.5, 2.5],
        errors=[0, 7],
        mode=["idle", "run"],
    )


def ask(store, answer):
    devices = {"device_id": ["a", "b", "c", "d"]}
    answer("nothing yet", lambda: store.get_online_features(FEATURES, devices).to_dict())
    store.write_to_online_store(
        "states",
        pd.DataFrame(
            {
                "device_id": ["a", "c"],
                "ts": [hours(2), hours(3)],
                "on": [True, False],
                "volts": [3.25, -1.0],
                "errors": [1, 2**53 + 1],
                "mode": ["run", "\u00fc"],
            }
        ),
    )
    answer("written", lambda: store.get_online_features(FEATURES, devices).to_dict())
    store.write_to_online_store(
        "states",
        inputs={
            "device_id": ["d"],
            "ts": [hours(4)],
            "on": [True],
            "volts": [0.5],
            "errors": [3],
            "mode": [""],
        },
    )
    answer("by columns", lambda: store.get_online_features(FEATURES, devices).to_dict())
    answer("no such view", lambda: store.write_to_online_store("nothing", pd.DataFrame({"x": [1]})))
