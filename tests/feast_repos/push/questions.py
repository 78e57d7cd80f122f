"""What is pushed is served at once; what is not, is not."""

import pandas as pd
from rows import hours, save, times

FEATURES = ["live:pages", "live:seconds", "live:page"]


def write(folder):
    save(
        folder / "data" / "visits.parquet",
        user_id=[1, 2, 3],
        ts=times([hours(1), hours(2), hours(3)]),
        pages=[1, 2, 3],
        seconds=[0.5, 1.5, 2.5],
        page=["a", "b", "c"],
    )


def frame(**columns):
    return pd.DataFrame(columns)


def ask(store, answer):
    store.materialize(hours(0), hours(10))
    users = {"user_id": [1, 2, 3, 4]}
    answer("before", lambda: store.get_online_features(FEATURES, users).to_dict())
    store.push(
        "visit_push",
        frame(
            user_id=[2, 4], ts=[hours(5)] * 2, pages=[20, 40], seconds=[0.25, 4], page=["x", "y"]
        ),
    )
    answer("after", lambda: store.get_online_features(FEATURES, users).to_dict())
    answer("not pushed", lambda: store.get_online_features(["nightly:pages"], users).to_dict())
    store.push(
        "visit_push",
        frame(user_id=[4], ts=[hours(6)], pages=[41], seconds=[float("nan")], page=["z"]),
    )
    answer("a value that is none", lambda: store.get_online_features(FEATURES, users).to_dict())
    answer("no such source", lambda: store.push("nothing", frame(user_id=[1], ts=[hours(6)])))
