"""Feast at a Redis, for test_redis_feast.py. Runs in an interpreter that has Feast, not Tiffin.

usage: python redis_feast_child.py FOLDER

Reads FOLDER/request.json: project, views (name, file, keys, fields, created), and "orders": each
with the connection string of its online_store and what to do there, "materialize" (from, to),
"write" (view, file, rows at a time) or "read" (features, key columns). Writes their answers to
FOLDER/answers.json. Times are microseconds since 1970; bytes are hex digits.
"""

import datetime as dt
import decimal
import json
import logging
import os
import sys
import uuid
import warnings
from pathlib import Path
from typing import Any

os.environ["FEAST_USAGE"] = "False"
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import pyarrow.parquet as pq  # noqa: E402
from feast import (  # type: ignore[import-not-found,unused-ignore]  # noqa: E402
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RepoConfig,
    ValueType,
)
from feast.types import (  # type: ignore  # noqa: E402
    Array,
    Bool,
    Bytes,
    Decimal,
    Float32,
    Float64,
    Int32,
    Int64,
    Json,
    Set,
    String,
    TimeUuid,
    UnixTimestamp,
    Uuid,
)

SCALARS = {
    "bool": Bool,
    "bytes": Bytes,
    "float32": Float32,
    "float64": Float64,
    "int32": Int32,
    "int64": Int64,
    "string": String,
    "timestamp": UnixTimestamp,
}
TEXTS = {"decimal": Decimal, "json": Json, "time_uuid": TimeUuid, "uuid": Uuid}
ALL = {**SCALARS, **TEXTS}
TYPES = {
    **ALL,
    **{f"array<{name}>": Array(dtype) for name, dtype in ALL.items()},
    **{f"set<{name}>": Set(dtype) for name, dtype in ALL.items() if name != "json"},
}
KEY_TYPES = {
    "bytes": ValueType.BYTES,
    "int32": ValueType.INT32,
    "int64": ValueType.INT64,
    "string": ValueType.STRING,
    "timestamp": ValueType.UNIX_TIMESTAMP,
}


def define(folder: Path, request: dict[str, Any]) -> list[Any]:
    entities: dict[str, Any] = {}
    views = []
    for view in request["views"]:
        for name, dtype in view["keys"].items():
            entities[name] = Entity(name=name, join_keys=[name], value_type=KEY_TYPES[dtype])
        columns = {**view["keys"], **view["fields"]}
        views.append(
            FeatureView(
                name=view["name"],
                entities=[entities[name] for name in view["keys"]],
                ttl=dt.timedelta(0),
                schema=[Field(name=n, dtype=TYPES[t]) for n, t in columns.items()],
                source=FileSource(
                    name=f"{view['name']}_file",
                    path=str(folder / view["file"]),
                    timestamp_field=view.get("timestamp", "at"),
                    created_timestamp_column="created" if view["created"] else "",
                ),
            )
        )
    return [*entities.values(), *views]


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dt.datetime):
        return int(value.timestamp() * 1_000_000)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, set):
        return sorted(plain(item) for item in value)
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    return value


def write(store: Any, folder: Path, order: dict[str, Any]) -> None:
    frame = pq.read_table(folder / order["file"]).to_pandas()
    step = order["rows"]
    print("ready", flush=True)
    for first in range(0, len(frame), step):
        store.write_to_online_store(order["view"], frame.iloc[first : first + step])


def key_of(value: Any, dtype: str) -> Any:
    if dtype == "bytes":
        return bytes.fromhex(value)
    return dt.datetime.fromtimestamp(value / 1e6, dt.UTC) if dtype == "timestamp" else value


def read(store: Any, order: dict[str, Any], keys: dict[str, str]) -> dict[str, Any]:
    columns = {k: [key_of(v, keys[k]) for v in values] for k, values in order["keys"].items()}
    answer = store.get_online_features(order["features"], columns).to_dict()
    return {name: plain(list(values)) for name, values in answer.items()}


def follow(folder: Path, request: dict[str, Any], order: dict[str, Any]) -> Any:
    config = RepoConfig(
        project=request["project"],
        provider="local",
        registry=str(folder / "feast.db"),
        offline_store={"type": "dask"},
        online_store={"type": "redis", **order["online_store"]},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    store.apply(define(folder, request))
    if "materialize" in order:
        start, end = (dt.datetime.fromtimestamp(t / 1e6, dt.UTC) for t in order["materialize"])
        store.materialize(start, end)
    if "write" in order:
        write(store, folder, order["write"])
    if "read" not in order:
        return None
    keys = {name: t for view in request["views"] for name, t in view["keys"].items()}
    return {name: read(store, part, keys) for name, part in order["read"].items()}


def main() -> None:
    folder = Path(sys.argv[1])
    request = json.loads((folder / "request.json").read_text())
    answers = [follow(folder, request, order) for order in request["orders"]]
    (folder / "answers.json").write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
