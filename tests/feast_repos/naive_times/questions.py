"""Naive and aware rows find the same."""

import datetime as dt

import pandas as pd
import pyarrow as pa
from rows import hours, save, spine

FEATURE = ["climate:degrees"]


def write(folder):
    n = 20
    naive = [hours(i).replace(tzinfo=None) for i in range(n)]
    save(
        folder / "data" / "climate.parquet",
        room=[i % 2 for i in range(n)],
        measured=pa.array(naive, pa.timestamp("us")),
        degrees=[20 + i / 10 for i in range(n)],
    )


def ask(store, answer):
    aware = spine([0, 5, 18, 22, 23], room=[0, 1, 0, 0, 1])
    naive = aware.assign(event_timestamp=aware["event_timestamp"].dt.tz_localize(None))
    answer("aware", lambda: store.get_historical_features(aware, FEATURE).to_arrow())
    answer("naive", lambda: store.get_historical_features(naive, FEATURE).to_arrow())
    tokyo = aware.assign(event_timestamp=aware["event_timestamp"].dt.tz_convert("Asia/Tokyo"))
    answer("of Tokyo", lambda: store.get_historical_features(tokyo, FEATURE).to_arrow())
    other = aware.rename(columns={"event_timestamp": "asked_at"})
    answer("another name", lambda: store.get_historical_features(other, FEATURE).to_arrow())
    store.materialize(dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 12))
    answer("online", lambda: store.get_online_features(FEATURE, {"room": [0, 1]}).to_dict())
    frame = pd.DataFrame({"room": [1], "label": ["00"]})
    answer("no time at all", lambda: store.get_historical_features(frame, FEATURE).to_arrow())
