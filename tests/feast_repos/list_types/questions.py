"""Lists come back as they are, the empty one too."""

import pyarrow as pa
from rows import hours, save, spine, times

FEATURES = [f"vectors:{name}" for name in ("embedding", "scores", "ids", "tags", "flags")]


def write(folder):
    n = 6
    save(
        folder / "data" / "vectors.parquet",
        doc=[i % 3 for i in range(n)],
        ts=times([hours(i) for i in range(n)]),
        embedding=pa.array([[i + 0.5] * 4 for i in range(n)], pa.list_(pa.float32())),
        scores=[[i / 3, -i / 3] for i in range(n)],
        ids=[[i, i * i, 2**40 + i] for i in range(n)],
        tags=[["a" * i, "\u00fc"] for i in range(n)],
        flags=[[i % 2 == 0, True] for i in range(n)],
    )


def ask(store, answer):
    rows = spine([0, 4, 5, 9, 1], doc=[0, 1, 2, 0, 2])
    answer("training", lambda: store.get_historical_features(rows, FEATURES).to_arrow())
    store.materialize(hours(0), hours(50))
    answer("online", lambda: store.get_online_features(FEATURES, {"doc": [0, 2]}).to_dict())
    answer("unknown", lambda: store.get_online_features(FEATURES, {"doc": [9]}).to_dict())
