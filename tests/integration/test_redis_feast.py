"""One Redis, two feature stores: what Feast wrote Tiffin reads, what Tiffin wrote Feast reads, and
the bytes are the same.

Feast is the real package (of .venv-peers; TFN_FEAST_PYTHON: of another interpreter), Redis a real
server.

TFN_REDIS_ROWS  how many rows each of the concurrent writers writes (2,000; the long test: 100,000)
"""

import datetime as dt
import decimal
import json
import os
import random
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from redis_facts import (
    finish_writer,
    random_rows,
    read_values,
    start_writer,
    store_of,
    winners,
)
from redis_facts import (
    table_of as facts_of,
)
from redis_server import RedisServer

from tiffin import Entity, FeatureStore, FeatureView, Field, FieldStatus, FileSource, RepoConfig
from tiffin.types import from_text

ROOT = Path(__file__).parents[2]
FEAST = os.environ.get("TFN_FEAST_PYTHON", str(ROOT / ".venv-peers" / "bin" / "python"))
PROJECT = "riders"
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2024, 2, 1, tzinfo=dt.UTC)
UTC_US = pa.timestamp("us", "UTC")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


# ---- one set of rows, defined twice


SCALARS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "bool": (pa.bool_(), [True, False, None, False]),
    "bytes": (pa.binary(), [b"\x00\xff", b"plain", None, b""]),
    "float32": (pa.float32(), [1.5, -3.25e38, None, 0.0]),
    "float64": (pa.float64(), [0.1, -1e308, None, 0.0]),
    "int32": (pa.int32(), [7, -(2**31), None, 0]),
    "int64": (pa.int64(), [-7, 2**53, None, 0]),
    "string": (pa.string(), ["plain", "käse ☕", None, ""]),
    "timestamp": (UTC_US, [1_700_000_000_000_000, -86_400_000_000, None, 0]),
}
LISTS: dict[str, list[Any]] = {
    "bool": [[True, False], [False], None, []],
    "bytes": [[b"\x00", b""], [b"a"], None, []],
    "float32": [[1.5, -2.0], [0.0], None, []],
    "float64": [[0.1, 1e308], [0.0], None, []],
    "int32": [[1, -1], [2**31 - 1], None, []],
    "int64": [[1, -1, 2**62], [0], None, []],
    "string": [["a", "", "ß"], ["b"], None, []],
    "timestamp": [[1_700_000_000_000_000, 0], [-1_000_000], None, []],
}
UUIDS = [f"0a0b0c0d-0000-4000-8000-00000000000{i}" for i in range(3)]
TEXTS: dict[str, list[Any]] = {  # of two rows, null, nothing
    "decimal": ["1.50", "-12345678901234567890.000000001", None, "0"],
    "json": ['{"a":[1,null]}', '"text"', None, "{}"],
    "time_uuid": [UUIDS[0], UUIDS[1], None, UUIDS[2]],
    "uuid": [UUIDS[2], UUIDS[1], None, UUIDS[0]],
    "array<decimal>": [["1.50", "2"], ["-0.1"], None, []],
    "array<json>": [["{}", "[1]"], ["1"], None, []],
    "array<time_uuid>": [UUIDS[:2], UUIDS[:1], None, []],
    "array<uuid>": [UUIDS[1:], UUIDS[:1], None, []],
}
# Of one item each: Feast writes more in the order that Python happens to have them in.
SETS = {
    **{f"set<{n}>": [v and v[:1] for v in LISTS[n]] for n in LISTS},
    **{
        f"set<{n}>": [v and v[:1] for v in TEXTS[f"array<{n}>"]]
        for n in TEXTS
        if f"array<{n}>" in TEXTS and n != "json"
    },
}
EVENTS = [1_704_067_200_123_456, -500_000, 0, 1_704_153_600_000_000]
KEYS: dict[str, dict[str, tuple[str, pa.DataType, list[Any]]]] = {
    "everything": {"id": ("int64", pa.int64(), [1, -2, 2**62, 4])},
    "pairs": {
        "zone": ("string", pa.string(), ["a", "", "käse", "a"]),
        "block": ("int32", pa.int32(), [1, -1, 2**31 - 1, 2]),
    },
    "raw": {"digest": ("bytes", pa.binary(), [b"\x00\x01", b"\xff", b"", b"x"])},
    "hours": {"hour": ("timestamp", UTC_US, [3_600_000_000, -1_000_000, 0, 7_200_000_000])},
}


def fields_of(view: str) -> dict[str, str]:
    if view != "everything":
        return {"v": "int64"}
    return {
        **{f"s_{n}": n for n in SCALARS},
        **{f"l_{n}": f"array<{n}>" for n in LISTS},
        **{f"t_{name_of(n)}": n for n in (*TEXTS, *SETS)},
    }


def name_of(dtype: str) -> str:
    return dtype.replace("<", "_").replace(">", "")


def arrow_type_of(dtype: str) -> pa.DataType:
    item = dtype.partition("<")[2].removesuffix(">") or dtype
    kind = SCALARS[item][0] if item in SCALARS else pa.string()
    return pa.list_(kind) if "<" in dtype else kind


def table_of(view: str) -> pa.Table:
    columns = {name: pa.array(values, kind) for name, (_, kind, values) in KEYS[view].items()}
    if view == "everything":
        for name, (kind, values) in SCALARS.items():
            columns[f"s_{name}"] = pa.array(values, kind)
            columns[f"l_{name}"] = pa.array(LISTS[name], pa.list_(kind))
        for name, values in (TEXTS | SETS).items():
            columns[f"t_{name_of(name)}"] = pa.array(values, arrow_type_of(name))
    else:
        columns["v"] = pa.array([10, 20, None, 40], pa.int64())
    columns["at"] = pa.array(EVENTS, UTC_US)
    columns["created"] = pa.array([e + 60_000_000 for e in EVENTS], UTC_US)
    return pa.table(columns)


def description(view: str) -> dict[str, Any]:
    return {
        "name": view,
        "file": f"{view}.parquet",
        "keys": {name: kind for name, (kind, _, _) in KEYS[view].items()},
        "fields": fields_of(view),
        "created": True,
    }


def start_feast(
    folder: Path, server: RedisServer, project: str, views: list[Any], *orders: dict[str, Any]
) -> subprocess.Popen[str]:
    """Let Feast do something in some databases."""
    request = {
        "project": project,
        "views": views,
        "orders": [
            {**order, "online_store": {"connection_string": connection_string(server, order["db"])}}
            for order in orders
        ],
    }
    (folder / "request.json").write_text(json.dumps(request))
    child = Path(__file__).with_name("redis_feast_child.py")
    return subprocess.Popen(
        [FEAST, child, folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def feast(folder: Path, server: RedisServer, *orders: dict[str, Any]) -> Any:
    """Let Feast do something in some databases; return its answers."""
    views = [description(view) for view in KEYS]
    process = start_feast(folder, server, PROJECT, views, *orders)
    _, said = process.communicate(timeout=900)
    assert process.returncode == 0, said
    return json.loads((folder / "answers.json").read_text())


def connection_string(server: RedisServer, db: int) -> str:
    return f"127.0.0.1:{server.port},db={db}"


def tiffin(folder: Path, server: RedisServer, db: int) -> FeatureStore:
    config = RepoConfig(
        project=PROJECT,
        registry=str(folder / f"tiffin{db}.db"),
        online_store={
            "type": "redis",
            "connection_string": connection_string(server, db),
        },
        repo_path=folder,
    )
    objects: list[Any] = []
    for view, keys in KEYS.items():
        entities = [
            Entity(name=n, join_keys=[n], value_type=from_text(kind).to_value_type())
            for n, (kind, _, _) in keys.items()
        ]
        source = FileSource(
            name=f"{view}_file",
            path=f"{view}.parquet",
            timestamp_field="at",
            created_timestamp_column="created",
        )
        schema = [Field(name=n, dtype=from_text(t)) for n, t in fields_of(view).items()]
        objects += [
            *entities,
            source,
            FeatureView(name=view, entities=entities, source=source, schema=schema),
        ]
    store = FeatureStore(config=config)
    store.apply(objects)
    return store


@pytest.fixture(scope="module")
def written(server, tmp_path_factory):
    """Feast materialized into database 0, Tiffin into database 1, the same files."""
    folder = tmp_path_factory.mktemp("repo")
    for view in KEYS:
        pq.write_table(table_of(view), folder / f"{view}.parquet")
    start, end = dt.datetime(1960, 1, 1, tzinfo=dt.UTC), END
    window = [int(t.timestamp() * 1e6) for t in (start, end)]
    feast(folder, server, {"db": 0, "materialize": window})
    tiffin(folder, server, 1).materialize(start, end)
    return folder


@pytest.fixture(scope="module")
def read_by_feast(server, written):
    """What Feast reads from the two databases."""
    reads = {
        view: {
            "features": [f"{view}:{name}" for name in fields_of(view)],
            "keys": {n: [plain(v) for v in values] for n, (_, _, values) in keys.items()},
        }
        for view, keys in KEYS.items()
    }
    return feast(written, server, *({"db": db, "read": reads} for db in (0, 1)))


def key_rows(view: str) -> list[dict[str, Any]]:
    names = list(KEYS[view])
    return [
        dict(zip(names, values, strict=True))
        for values in zip(*(KEYS[view][n][2] for n in names), strict=True)
    ]


def as_times(rows: list[dict[str, Any]], view: str) -> list[dict[str, Any]]:
    times = {n for n, (kind, _, _) in KEYS[view].items() if kind == "timestamp"}
    return [
        {k: dt.datetime.fromtimestamp(v / 1e6, dt.UTC) if k in times else v for k, v in r.items()}
        for r in rows
    ]


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dt.datetime):
        return round(value.timestamp() * 1_000_000)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, set):
        return sorted(plain(item) for item in value)
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    return value


def parsed(value: Any) -> Any:
    if isinstance(value, list):
        return [parsed(item) for item in value]
    return None if value is None else json.loads(value)


def expected(view: str, name: str) -> list[Any]:
    kind = fields_of(view)[name]
    if name == "v":
        return [10, 20, None, 40]
    if name.startswith("t_"):
        values = (TEXTS | SETS)[kind]
        if "json" in kind:
            return parsed(values)
        if "float32" in kind:
            values = pa.array(values, arrow_type_of(kind)).to_pylist()
        return [plain(value) for value in values]
    if name.startswith("l_"):
        values: list[Any] = LISTS[kind.removeprefix("array<").removesuffix(">")]
    else:
        values = SCALARS[kind][1]
    if "float32" in kind:
        values = pa.array(values, pa.list_(pa.float32()) if "array" in kind else pa.float32())
        values = values.to_pylist()
    return [plain(value) for value in values]


# ---- tests


def test_the_bytes_are_the_same(server, written):
    by_feast, by_tiffin = server.dump(0), server.dump(1)
    assert by_feast.keys() == by_tiffin.keys()
    assert len(by_feast) == 16
    n_pairs = 0
    for key, fields in by_tiffin.items():
        n_pairs += sum(name.startswith(b"_tc:") for name in fields)
        rest = {name: v for name, v in fields.items() if not name.startswith(b"_tc:")}
        assert rest == by_feast[key]
    assert n_pairs == 16


@pytest.mark.parametrize("view", KEYS)
@pytest.mark.parametrize("db", [0, 1], ids=["of_feast", "of_tiffin"])
def test_tiffin_reads(server, written, view, db):
    store = tiffin(written, server, db)
    features = [f"{view}:{name}" for name in fields_of(view)]
    answer = store.get_online_features(features, as_times(key_rows(view), view))
    values = answer.to_dict()
    for name in fields_of(view):
        assert plain(values[name]) == expected(view, name), name
        assert FieldStatus.NOT_FOUND not in answer.statuses[name]
    times = answer.event_timestamps[next(iter(fields_of(view)))]
    assert [round(t * 1e6) for t in times] == EVENTS


@pytest.mark.parametrize("view", KEYS)
def test_feast_reads_what_tiffin_wrote_as_what_it_wrote_itself(read_by_feast, view):
    by_feast, by_tiffin = (answer[view] for answer in read_by_feast)
    assert by_tiffin == by_feast
    name = next(iter(fields_of(view)))
    assert by_tiffin[name] == expected(view, name)


def check_writers(folder: Path, server: RedisServer, n_rows: int) -> None:
    """Three writers of ours and Feast's at the same rows.

    Feast reads the times of a batch first and writes later, so it may put an older row over a newer
    one, and it takes nothing of an event time that is there; its rows have no created time. What
    ours did is therefore done once more at the end, as after any failure: then each key has its
    greatest row.
    """
    rng = random.Random(n_rows)
    n_keys = max(10, n_rows // 20)
    rows = random_rows(rng, 3 * n_rows, n_keys, 7)
    by_feast = [(k, e + 500_000 * rng.randrange(2), 0, -v - 1) for k, e, _, v in rows[:n_rows]]
    store = store_of(folder, {"connection_string": connection_string(server, 2)}, rows)
    for i in range(3):
        part = rows[i * n_rows : (i + 1) * n_rows] + rng.sample(rows, n_rows // 4)
        rng.shuffle(part)
        pq.write_table(facts_of(part), folder / f"part{i}.parquet")
    pq.write_table(facts_of(by_feast), folder / "feast.parquet")
    view = {
        "name": "facts",
        "file": "feast.parquet",
        "keys": {"k": "int64"},
        "fields": {"v": "int64"},
        "created": True,
        "timestamp": "event_timestamp",
    }
    order = {"db": 2, "write": {"view": "facts", "file": "feast.parquet", "rows": 500}}
    other = start_feast(folder, server, "facts", [view], order)
    assert other.stdout is not None
    while (line := other.stdout.readline()) != "ready\n":
        assert line, other.communicate()[1]
    writers = [start_writer(folder, f"part{i}.parquet", 500) for i in range(3)]
    for writer in writers:
        finish_writer(writer)
    _, said = other.communicate(timeout=900)
    assert other.returncode == 0, said
    for i in range(3):
        finish_writer(start_writer(folder, f"part{i}.parquet", 1000))
    best = winners(rows)
    greatest = winners([*by_feast, *rows])
    values = read_values(store, n_keys)
    n_of_feast = 0
    assert values.keys() == greatest.keys()
    for k, v in values.items():
        if greatest[k][3] >= 0:
            assert v == best[k][3]
        else:  # Feast's, of that time; of several of them the one that it wrote first
            n_of_feast += 1
            assert v in {r[3] for r in by_feast if r[:2] == greatest[k][:2]}
    assert 0 < n_of_feast < len(values)


def test_feast_among_concurrent_writers(server, tmp_path):
    check_writers(tmp_path, server, int(os.environ.get("TFN_REDIS_ROWS", "2000")))


@pytest.mark.long
def test_feast_among_concurrent_writers_of_100_000_rows_each(server, tmp_path):
    check_writers(tmp_path, server, 100_000)
