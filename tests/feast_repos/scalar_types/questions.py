"""Each at its borders, in the past and online."""

import pyarrow as pa
from rows import hours, save, spine, times

NAMES = ["flag", "small", "large", "single", "double", "text", "raw", "at"]
FEATURES = [f"values:{name}" for name in NAMES]


def write(folder):
    save(
        folder / "data" / "values.parquet",
        thing=pa.array([1, 2, 3], pa.int32()),
        ts=times([hours(1), hours(2), hours(3)]),
        flag=[True, False, True],
        small=pa.array([-(2**31), 0, 2**31 - 1], pa.int32()),
        large=[-(2**63), 2**53 + 1, 2**63 - 1],
        single=pa.array([1.5, -0.1, 3e38], pa.float32()),
        double=[0.1, -1e308, 5e-324],
        text=["", "\u00fc", "line\nline"],
        raw=pa.array([b"", b"\x00\xff", b"abc"], pa.binary()),
        at=times([hours(0), hours(-1000), hours(1e5)]),
    )


def ask(store, answer):
    rows = spine([1, 5, 5, 0.5], thing=[1, 2, 3, 1])
    answer("training", lambda: store.get_historical_features(rows, FEATURES).to_arrow())
    store.materialize(hours(0), hours(50))
    things = {"thing": [1, 2, 3, 4]}
    for name in NAMES:
        answer(
            name, lambda name=name: store.get_online_features([f"values:{name}"], things).to_dict()
        )
