"""Join keys of every type, as values go into the extension and come back."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_native import T0, UTC, features, open_store

from tiffin import _native

KEYS = {
    "int64": (
        [0, -(2**63), 2**63 - 1, np.uint8(7), np.int64(-7)],
        [0, -(2**63), 2**63 - 1, 7, -7],
    ),
    "bool": ([True, np.True_, False], [True, True, False]),
    "bytes": ([b"", b"\x00\xff"], [b"", b"\x00\xff"]),
    "string": (["", "ü\0x", np.str_("y")], ["", "ü\0x", "y"]),
    "date": (
        [dt.date.min, dt.date.max, np.datetime64("2024-01-02")],
        [dt.date.min, dt.date.max, dt.date(2024, 1, 2)],
    ),
    "timestamp": (
        [
            T0.replace(microsecond=1),
            T0.replace(tzinfo=None),
            T0.astimezone(dt.timezone(dt.timedelta(hours=5, seconds=1))),
            dt.datetime(1, 1, 1, tzinfo=UTC),
            dt.datetime.max,
            pd.Timestamp("2024-01-01", tz="America/New_York"),
            np.datetime64("1960-01-01T00:00:00.000001"),
            np.datetime64("1960-01", "M"),
        ],
        [
            T0.replace(microsecond=1),
            T0,
            T0,
            dt.datetime(1, 1, 1, tzinfo=UTC),
            dt.datetime.max.replace(tzinfo=UTC),
            T0 + dt.timedelta(hours=5),
            dt.datetime(1960, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
            dt.datetime(1960, 1, 1, tzinfo=UTC),
        ],
    ),
}


def make_keyed(folder: Path, dtype: str) -> _native.Lookup:
    kinds = {
        "int64": pa.int64(),
        "bool": pa.bool_(),
        "bytes": pa.binary(),
        "string": pa.string(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"),
    }
    keys = pa.array(KEYS[dtype][1], kinds[dtype])
    times = pa.array([T0] * len(keys), pa.timestamp("us", "UTC"))
    table = pa.table({"k": keys, "t": times, "v": pa.array(range(len(keys)), pa.int64())})
    field = {"description": "", "tags": {}}
    objects = [
        {"kind": "entity", "name": "e", "join_key": "k", "value_type": dtype},
        {"kind": "data_source", "name": "s", "type": "file", "path": "s.parquet"},
        {"kind": "feature_view", "name": "v", "entities": ["e"], "join_keys": ["k"]},
    ]
    objects[1] |= {"timestamp_field": "t"}
    objects[2] |= {"source": "s", "ttl_us": 0, "online": True}
    objects[2] |= {
        "schema": [{"name": "k", "dtype": dtype} | field, {"name": "v", "dtype": "int64"} | field]
    }
    pq.write_table(table, folder / "s.parquet")
    store = open_store(folder)
    store.apply(json.dumps({"objects": objects}))
    store.begin_push(table, view="v").commit()
    return store.prepare(features("v:v"))


@pytest.mark.parametrize("dtype", KEYS)
def test_keys_of_every_type_are_found_and_come_back(tmp_path, dtype):
    given, expected = KEYS[dtype]
    lookup = make_keyed(tmp_path, dtype)
    answer = lookup.run([{"k": value} for value in given])
    assert answer.to_dict()["k"] == expected
    found = dict(zip(expected, range(len(expected)), strict=True))
    assert answer.to_dict()["v"] == [found[value] for value in expected]
    assert lookup.run({"k": given}).to_dict() == answer.to_dict()
