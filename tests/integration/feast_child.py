"""Answers of Feast, for test_feast.py. Runs in an interpreter that has Feast and knows no Tiffin.

usage: python feast_child.py FOLDER STORE...

Reads FOLDER/requests.json and the files it names; writes FOLDER/answers.json: the versions, and for
each STORE ("duckdb", "dask") and request its columns and rows, or the class and first line of what
was raised. Times are microseconds since 1970.
"""

import datetime as dt
import importlib.metadata
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["FEAST_USAGE"] = "False"
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

import pyarrow as pa  # noqa: E402
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
from feast.types import Float64, Int64, String  # type: ignore  # noqa: E402

TYPES = {"int64": Int64, "string": String, "float64": Float64}
VALUE_TYPES = {"int64": ValueType.INT64, "string": ValueType.STRING}


def define(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Return the entities and views of a request by name; views under "view:"."""
    entities = {
        name: Entity(name=name, join_keys=[name], value_type=VALUE_TYPES[dtype])
        for name, dtype in request["entities"].items()
    }
    objects: dict[str, Any] = dict(entities)
    for view in request["views"]:
        source = FileSource(
            name=f"{view['name']}_file",
            path=str(folder / view["file"]),
            timestamp_field="at",
            created_timestamp_column="created" if view["created"] else "",
            field_mapping=view["mapping"],
        )
        objects[f"view:{view['name']}"] = FeatureView(
            name=view["name"],
            entities=[entities[key] for key in view["keys"]],
            ttl=dt.timedelta(microseconds=view["ttl_us"]),
            schema=[
                *(Field(name=n, dtype=TYPES[t]) for n, t in view["fields"].items()),
                *(Field(name=k, dtype=TYPES[request["entities"][k]]) for k in view["keys"]),
            ],
            source=source,
        )
    return objects


def ask(folder: Path, store: Any, request: dict[str, Any], objects: dict[str, Any]) -> pa.Table:
    """Ask for references, or for a service of projections."""
    asked: Any = request["features"]
    if request["projections"]:
        from feast import FeatureService

        views = []
        for projection in request["projections"]:
            view = objects[f"view:{projection['view']}"][projection["features"]]
            if projection["alias"]:
                view = view.with_name(projection["alias"])
            if projection["map"]:
                view = view.with_join_key_map(projection["map"])
            views.append(view)
        asked = FeatureService(name="asked", features=views)
        store.apply([asked])
    return store.get_historical_features(
        pq.read_table(folder / request["spine"]).to_pandas(),
        asked,
        full_feature_names=request["full_names"],
        filter_by_created_timestamp=request["filter_by_created"],
    ).to_arrow()


def plain(table: pa.Table) -> dict[str, Any]:
    columns = []
    for column in table.columns:
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", "UTC"), safe=False).cast(pa.int64())
        columns.append([None if value != value else value for value in column.to_pylist()])
    return {"columns": table.column_names, "rows": [list(row) for row in zip(*columns)]}  # noqa: B905


def answer(folder: Path, kind: str, request: dict[str, Any]) -> dict[str, Any]:
    home = folder / f"{kind}-{request['name']}"
    home.mkdir()
    config = RepoConfig(
        project="tests",
        provider="local",
        registry=str(home / "registry.db"),
        offline_store={"type": kind},
        online_store={"type": "sqlite", "path": str(home / "online.db")},
        entity_key_serialization_version=3,
    )
    try:
        store = FeatureStore(config=config)
        objects = define(folder, request)
        store.apply(list(objects.values()))
        return plain(ask(folder, store, request, objects))
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return {"error": type(error).__name__, "text": lines[0].replace(str(folder), "FOLDER")}


def main() -> None:
    folder = Path(sys.argv[1])
    requests = json.loads((folder / "requests.json").read_text())
    answers: dict[str, Any] = {
        "versions": {p: importlib.metadata.version(p) for p in ("feast", "duckdb", "pandas")}
    }
    for kind in sys.argv[2:]:
        answers[kind] = {r["name"]: answer(folder, kind, r) for r in requests}
    (folder / "answers.json").write_text(json.dumps(answers))


main()
