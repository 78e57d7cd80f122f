"""A repo to serve, and how to ask a server of it: `pushes` with an on-demand view and all types."""

import datetime as dt
import http.client
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pushes import rides

from tiffin import FeatureStore
from tiffin.store.repo import load_repo

FEATURES = """
import os, sys, time

sys.path.insert(0, {helpers!r})
from pushes import definitions
from tiffin import FeatureView, Field, FileSource, PushSource, RequestSource
from tiffin import on_demand_feature_view
from tiffin.types import Array, Bool, Bytes, Date, Float32, Float64, Int64, String, UnixTimestamp

driver, files, pushed, stats, places = definitions()
every_files = FileSource(
    name="every_files",
    path="data/every/",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
every_push = PushSource(name="every_push", batch_source=every_files)
every = FeatureView(
    name="every",
    entities=[driver],
    source=every_push,
    schema=[
        Field(name="whole", dtype=Int64),
        Field(name="single", dtype=Float32),
        Field(name="double", dtype=Float64),
        Field(name="flag", dtype=Bool),
        Field(name="text", dtype=String),
        Field(name="raw", dtype=Bytes),
        Field(name="at", dtype=UnixTimestamp),
        Field(name="day", dtype=Date),
        Field(name="doubles", dtype=Array(Float64)),
        Field(name="raws", dtype=Array(Bytes)),
    ],
)
trip = RequestSource(name="trip", schema=[Field(name="mood", dtype=String)])


@on_demand_feature_view(
    sources=[stats, trip], schema=[Field(name="twice", dtype=Int64)], mode="python"
)
def doubled(inputs):
    print("a function prints")
    mood = inputs["mood"][0]
    if mood == "raise":
        raise ValueError("no good\\nat all")
    if mood == "exit":
        sys.exit(3)
    if mood == "die":
        os._exit(7)
    if mood == "hang":
        time.sleep(600)
    if mood == "pid":
        return {{"twice": [os.getpid() for _ in inputs["trips"]]}}
    return {{"twice": [2 * (n or 0) for n in inputs["trips"]]}}
"""

# Types of the features of `every`, in the order of its schema.
EVERY = {
    "whole": pa.int64(),
    "single": pa.float32(),
    "double": pa.float64(),
    "flag": pa.bool_(),
    "text": pa.string(),
    "raw": pa.binary(),
    "at": pa.timestamp("us", "UTC"),
    "day": pa.date32(),
    "doubles": pa.list_(pa.float64()),
    "raws": pa.list_(pa.binary()),
}

T1 = "2024-02-01T00:00:00Z"


def make_repo(folder: Path) -> FeatureStore:
    """Make a repo in a folder, and apply it."""
    (folder / "feature_store.yaml").write_text(
        "project: served\nonline_store: {type: lmdb, path: online}\n"
    )
    (folder / "data" / "rides").mkdir(parents=True)
    pq.write_table(rides(), folder / "data" / "rides" / "first.parquet")
    (folder / "data" / "every").mkdir()
    keys = rides().select(["driver_id", "event_timestamp", "created"]).slice(0, 0)
    columns = {name: pa.array([], kind) for name, kind in EVERY.items()}
    every = pa.table({**dict(zip(keys.column_names, keys.columns, strict=True)), **columns})
    pq.write_table(every, folder / "data" / "every" / "first.parquet")
    helpers = str(Path(__file__).parent)
    (folder / "features.py").write_text(FEATURES.format(helpers=helpers))
    store = FeatureStore(folder)
    store.apply(list(load_repo(folder).objects))
    return store


def ask(server: Any, path: str, body: Any, method: str = "POST") -> tuple[int, Any]:
    """Return status and parsed body of an answer; a body of no bytes is None."""
    status, text = ask_text(server, path, body, method)
    return status, json.loads(text) if text else None


def ask_text(server: Any, path: str, body: Any, method: str = "POST") -> tuple[int, str]:
    """Return status and body of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        text = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def frame(**changes: Any) -> dict[str, list[Any]]:
    """Rows for `stats` and `places` in JSON."""
    columns = {
        "driver_id": [1, 2],
        "event_timestamp": [T1, T1],
        "created": [T1, T1],
        "trips": [5, 6],
        "grade": [1, 2],
        "km": [0.1, 2],
        "city": ["x", None],
    }
    return {name: values for name, values in {**columns, **changes}.items() if values is not None}


def read(store: FeatureStore, *features: str) -> dict[str, Any]:
    """What the SDK reads of drivers 1 and 2."""
    answer = store.get_online_features(list(features), {"driver_id": [1, 2]}).to_dict()
    return {name: answer[name] for name in answer if name != "driver_id"}


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)
