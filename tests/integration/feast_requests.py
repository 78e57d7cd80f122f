"""Requests that Feast understands too: cases worked out by hand, and random ones.

A request is a dictionary (what feast_child.py reads) and its tables; `write` puts both into a
folder, `ask_feast` and `ask_tiffin` answer in one form.

usage: python tests/integration/feast_requests.py PYTHON > tests/golden/feast.json

PYTHON is an interpreter that has Feast with its DuckDB store (.venv-peers/bin/python, made by
tools/setup.sh peers). What it says is recorded, so that CI compares without Feast.
"""

import datetime as dt
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tiffin import Entity, FeatureStore, FeatureView, Field, FileSource, TiffinError
from tiffin.types import Float64, Int64, String
from tiffin.value_type import ValueType

TYPES = {"int64": Int64, "string": String, "float64": Float64}
VALUE_TYPES = {"int64": ValueType.INT64, "string": ValueType.STRING}
DAY_US = 86_400 * 10**6
T0_US = 19_723 * DAY_US  # 2024-01-01
US = pa.timestamp("us", "UTC")


@dataclass
class View:
    name: str
    table: pa.Table  # columns: keys, "at", "created" if there is one, features
    keys: list[str] = field(default_factory=lambda: ["k"])
    ttl_us: int = 0
    mapping: dict[str, str] = field(default_factory=dict)

    def fields(self) -> dict[str, str]:
        names = {pa.int64(): "int64", pa.string(): "string", pa.float64(): "float64"}
        others = {*self.keys, "at", "created"}
        columns = {self.mapping.get(f.name, f.name): f.type for f in self.table.schema}
        return {name: names[arrow] for name, arrow in columns.items() if name not in others}


@dataclass
class Request:
    name: str
    views: list[View]
    spine: pa.Table
    features: list[str] = field(default_factory=list)  # references, or else:
    projections: list[dict[str, Any]] = field(default_factory=list)  # view, alias, features, map
    full_names: bool = False
    filter_by_created: bool = False
    entities: dict[str, str] = field(default_factory=lambda: {"k": "int64"})

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "entities": self.entities,
            "views": [
                {
                    "name": view.name,
                    "keys": view.keys,
                    "file": f"{self.name}/{view.name}.parquet",
                    "created": "created" in view.table.column_names,
                    "ttl_us": view.ttl_us,
                    "mapping": view.mapping,
                    "fields": view.fields(),
                }
                for view in self.views
            ],
            "spine": f"{self.name}/spine.parquet",
            "features": self.features,
            "projections": self.projections,
            "full_names": self.full_names,
            "filter_by_created": self.filter_by_created,
        }


def write(folder: Path, requests: list[Request]) -> None:
    for request in requests:
        (folder / request.name).mkdir()
        for view in request.views:
            pq.write_table(view.table, folder / request.name / f"{view.name}.parquet")
        pq.write_table(request.spine, folder / request.name / "spine.parquet")
    documents = [request.document() for request in requests]
    (folder / "requests.json").write_text(json.dumps(documents))


# ---- Feast's answers ----

N_RECORDED = 20  # random requests


def ask_feast(
    python: str, folder: Path, requests: list[Request], *stores: str
) -> dict[str, dict[str, Any]]:
    """Write requests, and return answers by store and name; "versions" says whose."""
    write(folder, requests)
    child = Path(__file__).parent / "feast_child.py"
    done = subprocess.run([python, child, folder, *stores], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"Feast in {python} did not answer: {done.stderr}")
    answers: dict[str, dict[str, Any]] = json.loads((folder / "answers.json").read_text())
    return answers


def recorded_requests() -> list[Request]:
    return [*cases(), *(random_request(seed) for seed in range(1, N_RECORDED + 1))]


def record(python: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        answers = ask_feast(python, Path(folder), recorded_requests(), "duckdb", "dask")
    answers["dask"] = {case.name: answers["dask"][case.name] for case in cases()}
    parts = []
    for name, part in answers.items():  # an answer a line, for diffs that can be read
        lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(part.items()))
        parts.append(f'"{name}": {{\n{lines}\n}}')
    print("{" + ",\n".join(parts) + "}")


# ---- Tiffin's answer ----


def define(request: Request) -> list[Any]:
    """Return entities and views as Tiffin's objects."""
    entities = {
        name: Entity(name=name, join_keys=[name], value_type=VALUE_TYPES[dtype])
        for name, dtype in request.entities.items()
    }
    views = [
        FeatureView(
            name=view.name,
            entities=[entities[key] for key in view.keys],
            ttl=dt.timedelta(microseconds=view.ttl_us),
            schema=[
                *(Field(name=n, dtype=TYPES[t]) for n, t in view.fields().items()),
                *(Field(name=k, dtype=TYPES[request.entities[k]]) for k in view.keys),
            ],
            source=FileSource(
                name=f"{view.name}_file",
                path=f"{view.name}.parquet",
                timestamp_field="at",
                created_timestamp_column=(
                    "created" if "created" in view.table.column_names else ""
                ),
                field_mapping=view.mapping,
            ),
        )
        for view in request.views
    ]
    return [*entities.values(), *views]


def project(views: dict[str, FeatureView], projection: dict[str, Any]) -> FeatureView:
    view = views[projection["view"]][projection["features"]]
    if projection["alias"]:
        view = view.with_name(projection["alias"])
    return view.with_join_key_map(projection["map"]) if projection["map"] else view


def plain(table: pa.Table) -> dict[str, Any]:
    columns = [
        column.cast(US, safe=False).cast(pa.int64())
        if pa.types.is_timestamp(column.type)
        else column
        for column in table.columns
    ]
    rows = [list(row) for row in zip(*(column.to_pylist() for column in columns), strict=True)]
    return {"columns": table.column_names, "rows": rows}


def ask_tiffin(folder: Path, request: Request) -> dict[str, Any]:
    """Answer a written request as feast_child.py does."""
    repo = folder / request.name
    (repo / "feature_store.yaml").write_text("project: tests\n")
    store = FeatureStore(repo_path=repo)
    try:
        objects = define(request)
        store.apply(objects)
        views = {o.name: o for o in objects if isinstance(o, FeatureView)}
        asked: Any = request.features
        if request.projections:
            asked = [project(views, projection) for projection in request.projections]
        job = store.get_historical_features(
            request.spine,
            asked,
            full_feature_names=request.full_names,
            filter_by_created_timestamp=request.filter_by_created,
        )
        return plain(job.to_arrow())
    except TiffinError as error:
        return {"error": type(error).__name__, "text": str(error)}


def by_label(answer: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the features of an answer's rows under their labels; Feast promises no order."""
    at = answer["columns"].index("label")
    rows = sorted(answer["rows"], key=lambda row: row[at])
    return {
        name: [row[i] for row in rows]
        for i, name in enumerate(answer["columns"])
        if name not in ("event_timestamp",)
    }


# ---- cases worked out by hand: the days since 2024 of rows and entity rows ----


def times(days: list[float | None], arrow: pa.DataType = US) -> pa.Array:
    scale = 1000 if arrow.unit == "ns" else 1
    raw = [None if day is None else (T0_US + round(day * DAY_US)) * scale for day in days]
    return pa.array(raw, pa.int64()).cast(arrow)


def spine(keys: list[Any], days: list[float | None], **more: Any) -> pa.Table:
    labels = [f"{i:02d}" for i in range(len(keys))]
    return pa.table({"k": keys, "event_timestamp": times(days), "label": labels, **more})


def source(keys: list[Any], days: list[float | None], created: Any = None, **more: Any) -> pa.Table:
    columns = {"k": keys, "at": times(days)}
    if created is not None:
        columns["created"] = times(created)
    values = pa.array(range(10, 10 * len(keys) + 1, 10), pa.int64())
    return pa.table({**columns, **(more or {"x": values})})


def cases() -> list[Request]:
    plain_source = source([1, 1, 2], [0, 2, 1], [0.5, 2.5, 1.5])
    expired = View("v", source([1, 1], [0, 1]), ttl_us=2 * DAY_US)
    two = source([1, 2], [0, 0], x=pa.array([1, 2]), y=pa.array([3, 4]))
    tied = source([1, 1, 1], [0, 0, 0], [1, 1, 1])
    missing = source([1, 1, 1], [0, 0, 0], [None, 1, None])
    held = source([1, 1], [0, 1], x=pa.array([7, None], pa.int64()))
    pairs = pa.table({"k": [1, 1], "j": ["a", "b"], "at": times([0, 1]), "x": [1, 2]})
    pair_spine = spine([1, 1], [2, 2], j=["a", "b"], other=[1, 1])
    nanos = [T0_US * 1000 + 400, T0_US * 1000 + 1400]
    fine = pa.table({"k": [1, 1], "at": pa.array(nanos, pa.timestamp("ns", "UTC")), "x": [1, 2]})
    micros = spine([1, 1], [0, 1e-9]).set_column(
        1, "event_timestamp", pa.array([T0_US, T0_US + 1], US)
    )
    nameless = View("v", pa.table({"at": times([0, 2]), "x": [1, 2]}), keys=[])
    naive = source([1, 1], [0, 1]).set_column(1, "at", times([0, 1], pa.timestamp("us")))
    texts = spine(["1", "2"], [3, 3])
    both = [View("a", two), View("b", source([1, 2], [0, 0], z=pa.array([5, 6])))]
    mapped = View("v", two.rename_columns(["k", "at", "raw", "y"]), mapping={"raw": "x"})
    return [
        Request("plain", [View("v", plain_source)], spine([2, 1, 1, 9], [3, 3, 1, 3]), ["v:x"]),
        Request("expired", [expired], spine([1, 1, 1], [3, 3.001, 2]), ["v:x"]),
        Request("future_only", [View("v", source([1], [5]))], spine([1, 2], [1, 1]), ["v:x"]),
        Request("duplicates", [View("v", plain_source)], spine([1, 1, 2], [3, 3, 3]), ["v:x"]),
        Request("ties", [View("v", tied)], spine([1], [2]), ["v:x"]),
        Request("missing_created", [View("v", missing)], spine([1], [2]), ["v:x"]),
        Request(
            "created_filter",
            [View("v", plain_source)],
            spine([1, 1, 1], [2, 2.5, 0.4]),
            ["v:x"],
            filter_by_created=True,
        ),
        Request(
            "created_filter_without_created",
            [View("v", source([1], [0]))],
            spine([1], [1]),
            ["v:x"],
            filter_by_created=True,
        ),
        Request("null_value", [View("v", held)], spine([1, 1], [0.5, 2]), ["v:x"]),
        Request(
            "null_keys",
            [View("v", source([1, None], [0, 0]))],
            spine([1, None], [1, 1]),
            ["v:x"],
        ),
        Request("null_time", [View("v", plain_source)], spine([1, 1], [3, None]), ["v:x"]),
        Request("no_rows", [View("v", plain_source)], spine([1], [3]).slice(0, 0), ["v:x"]),
        Request("without_entities", [nameless], spine([1, 2, 3], [0, 1, 3]), ["v:x"]),
        Request("nanoseconds", [View("v", fine)], micros, ["v:x"]),
        Request("naive", [View("v", naive)], spine([1, 1], [0.5, 1]), ["v:x"]),
        Request("text_for_number", [View("v", plain_source)], texts, ["v:x"]),
        Request("order_asked", both, spine([2, 1], [1, 1]), ["a:y", "b:z", "a:x"]),
        Request(
            "same_name_twice",
            [View("a", two), View("b", two)],
            spine([1], [1]),
            ["a:x", "b:x"],
        ),
        Request(
            "full_names",
            [View("a", two), View("b", two)],
            spine([1, 2], [1, 1]),
            ["a:x", "b:x"],
            full_names=True,
        ),
        Request("feature_in_the_frame", [View("v", two)], spine([1], [1], x=[99]), ["v:x"]),
        Request(
            "name_that_ends_in_y",
            [View("v", source([1], [0], rate_y=pa.array([1])))],
            spine([1], [1]),
            ["v:rate_y"],
        ),
        Request(
            "one_key_of_two_mapped",
            [View("v", pairs, keys=["k", "j"])],
            pair_spine,
            projections=[{"view": "v", "alias": "", "features": ["x"], "map": {"k": "other"}}],
            entities={"k": "int64", "j": "string"},
        ),
        Request(
            "twice_with_two_aliases",
            [View("v", two)],
            spine([1, 2], [1, 1], other=[2, 1]),
            projections=[
                {"view": "v", "alias": "one", "features": ["x"], "map": {}},
                {"view": "v", "alias": "two", "features": ["x"], "map": {"k": "other"}},
            ],
            full_names=True,
        ),
        Request(
            "twice_with_one_alias",
            [View("v", two)],
            spine([1, 2], [1, 1], other=[2, 1]),
            projections=[
                {"view": "v", "alias": "", "features": ["x"], "map": {}},
                {"view": "v", "alias": "two", "features": ["x"], "map": {"k": "other"}},
            ],
            full_names=True,
        ),
        Request("mapping", [mapped], spine([2], [1]), ["v:x"]),
        Request(
            "long_ttl",
            [View("v", source([1], [0]), ttl_us=10**6 * DAY_US)],
            spine([1], [1]),
            ["v:x"],
        ),
    ]


# ---- random ones: only what both mean alike ----


def random_source(rng: random.Random, keys: list[str], prefix: str, is_number: bool) -> pa.Table:
    """Make rows no two of which have equal keys, event and created times: Feast breaks no ties."""
    n = rng.randint(1, 40)
    picked = rng.sample(range(400), n)
    columns: dict[str, Any] = {}
    for i, key in enumerate(keys):
        numbers = [(p // (3**i)) % 3 for p in picked]
        columns[key] = numbers if is_number else [f"key {number}" for number in numbers]
    columns["at"] = times([p % 5 * 0.5 for p in picked])
    columns["created"] = times([p % 5 * 0.5 + p // 5 * 0.03125 for p in picked])
    for i, arrow in enumerate([pa.int64(), pa.float64(), pa.string()]):
        values = [None if rng.random() < 0.2 else rng.randint(0, 99) for _ in range(n)]
        columns[f"{prefix}{'xzt'[i]}"] = pa.array(values, pa.int64()).cast(arrow)
    return pa.table(columns)


def random_request(seed: int) -> Request:
    rng = random.Random(seed)
    is_number = rng.random() < 0.5
    dtype = "int64" if is_number else "string"
    names = ["k", "j"]
    views = []
    for i in range(rng.randint(1, 3)):
        keys = rng.choice([["k"], ["j"], ["k", "j"]])
        table = random_source(rng, keys, f"v{i}", is_number)
        ttl_us = rng.choice([0, DAY_US // 2, DAY_US, 2 * DAY_US])
        views.append(View(f"view{i}", table, keys, ttl_us))
    n = rng.randint(1, 20)
    numbers = {name: [rng.randint(0, 3) for _ in range(n)] for name in [*names, "k2", "j2"]}
    columns: dict[str, Any] = {
        name: values if is_number else [f"key {value}" for value in values]
        for name, values in numbers.items()
    }
    columns["event_timestamp"] = times([rng.randint(-1, 12) * 0.25 for _ in range(n)])
    columns["label"] = [f"{i:02d}" for i in range(n)]
    projections = []
    for view in views:
        for alias in rng.choice([[""], ["one", "two"]]):  # Feast fails if only one has an alias
            is_mapped = alias == "two" or rng.random() < 0.3
            mapping = {key: f"{key}2" for key in view.keys} if is_mapped else {}
            features = rng.sample(list(view.fields()), rng.randint(1, 3))
            projections.append(
                {
                    "view": view.name,
                    "alias": alias and f"{view.name}_{alias}",
                    "features": features,
                    "map": mapping,
                }
            )
    return Request(
        name=f"random{seed}",
        views=views,
        spine=pa.table(columns),
        projections=projections,
        full_names=True,
        filter_by_created=rng.random() < 0.3,
        entities=dict.fromkeys(names, dtype),
    )


if __name__ == "__main__":
    record(sys.argv[1])
