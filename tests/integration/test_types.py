"""Types with a meaning: UUIDs, decimals, JSON, maps, structs and sets, wherever values go.

docs/semantics/types.md has the rules; the names of its tests are those here.
"""

import datetime as dt
import decimal
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from server_process import ServerProcess
from server_repo import ask

from tiffin import (
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    PushMode,
    PushSource,
    RequestSource,
    on_demand_feature_view,
)
from tiffin.errors import SchemaError, TiffinError, UnsupportedError
from tiffin.types import (
    Array,
    Decimal,
    Float64,
    Int64,
    Json,
    Map,
    Set,
    String,
    Struct,
    TimeUuid,
    UnixTimestamp,
    Uuid,
)

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
LATER = dt.datetime(2024, 2, 1, tzinfo=dt.UTC)
UUIDS = [uuid.UUID(int=i) for i in range(1, 4)]
TEXTS = [str(u) for u in UUIDS]
D = decimal.Decimal

TYPES: dict[str, Any] = {
    "u": Uuid,
    "t": TimeUuid,
    "d": Decimal,
    "j": Json,
    "m": Map,
    "s": Struct({"a": Int64, "b": Array(String)}),
    "us": Set(Uuid),
    "is": Set(Int64),
    "ds": Set(Decimal),
    "ua": Array(Uuid),
    "da": Array(Decimal),
    "ja": Array(Json),
    "ma": Array(Map),
    "sa": Array(Struct({"a": Int64})),
}
# What Python has of each: of three keys, the third of which has nulls.
OBJECTS: dict[str, list[Any]] = {
    "u": [UUIDS[0], UUIDS[1], None],
    "t": [UUIDS[2], UUIDS[0], None],
    "d": [D("1.50"), D("-0.25"), None],
    "j": [{"x": [1, None, "é"]}, 2.5, None],
    "m": [{"k": "v"}, {}, None],
    "s": [{"a": 1, "b": ["x", "y"]}, {"a": None, "b": []}, None],
    "us": [{UUIDS[0], UUIDS[1]}, set(), None],
    "is": [{1, 2}, {3}, None],
    "ds": [{D("1.10")}, set(), None],
    "ua": [[UUIDS[0], UUIDS[0]], [], None],
    "da": [[D("1.10"), D("2.00")], [], None],
    "ja": [[{"a": 1}, [2]], [], None],
    "ma": [[{"k": "v"}], [], None],
    "sa": [[{"a": 1}, {"a": 2}], [], None],
}
# The same as columns of texts and lists, which every file can hold.
COLUMNS: dict[str, list[Any]] = {
    "u": [TEXTS[0], TEXTS[1], None],
    "t": [TEXTS[2], TEXTS[0], None],
    "d": ["1.50", "-0.25", None],
    "j": ['{"x":[1,null,"é"]}', "2.5", None],
    "m": ['{"k":"v"}', "{}", None],
    "s": ['{"a":1,"b":["x","y"]}', '{"a":null,"b":[]}', None],
    "us": [[TEXTS[0], TEXTS[1]], [], None],
    "is": [[1, 2], [3], None],
    "ds": [["1.10"], [], None],
    "ua": [[TEXTS[0], TEXTS[0]], [], None],
    "da": [["1.10", "2.00"], [], None],
    "ja": [['{"a":1}', "[2]"], [], None],
    "ma": [['{"k":"v"}'], [], None],
    "sa": [['{"a":1}', '{"a":2}'], [], None],
}
# And as the types that Parquet has for them.
NATIVE: dict[str, pa.DataType] = {
    "d": pa.decimal128(10, 2),
    "m": pa.map_(pa.string(), pa.string()),
    "s": pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))]),
    "da": pa.list_(pa.decimal128(10, 2)),
    "sa": pa.list_(pa.struct([("a", pa.int64())])),
    "ma": pa.list_(pa.map_(pa.string(), pa.string())),
}
FEATURES = [f"v:{name}" for name in TYPES]


def native_column(name: str) -> pa.Array:
    """A column as Parquet's own type, where it has one."""
    if name in NATIVE:
        values = OBJECTS[name]
        if name == "m":
            values = [v and list(v.items()) if v is not None else None for v in values]
        if name == "ma":
            values = [None if v is None else [list(i.items()) for i in v] for v in values]
        return pa.array([v if v != {} or name != "m" else [] for v in values], NATIVE[name])
    if name in ("u", "t") and hasattr(pa, "uuid"):
        storage = pa.array([v and v.bytes for v in OBJECTS[name]], pa.binary(16))
        return pa.ExtensionArray.from_storage(pa.uuid(), storage)
    return plain_column(name)


def plain_column(name: str) -> pa.Array:
    if name == "is":
        return pa.array(COLUMNS[name], pa.list_(pa.int64()))
    is_list = isinstance(TYPES[name], Array | Set)
    return pa.array(COLUMNS[name], pa.list_(pa.string()) if is_list else pa.string())


def keys_and_times(n: int = 3) -> dict[str, Any]:
    return {
        "k": pa.array(range(n), pa.int64()),
        "event_timestamp": pa.array([START] * n, pa.timestamp("us", "UTC")),
    }


def make_repo(folder: Path, table: pa.Table | None = None, kind: str = "parquet") -> FeatureStore:
    """A store with a view of all types over one file, which a push source stands before."""
    folder.mkdir(exist_ok=True)
    (folder / "feature_store.yaml").write_text("project: types\nonline_ttl: ignore\n")
    (folder / "rows").mkdir()
    if table is None:  # rows of other keys
        table = table_of(plain_column)
        table = table.set_column(0, "k", pa.array([100, 101, 102], pa.int64()))
    write_file(folder / "rows" / f"a.{kind}", table, kind)
    source = FileSource(
        name="rows", path="rows", timestamp_field="event_timestamp", file_format=kind
    )
    pushed = PushSource(name="pushed", batch_source=source)
    key = Entity(name="k", join_keys=["k"], value_type=Int64)
    schema = [Field(name=name, dtype=dtype) for name, dtype in TYPES.items()]
    view = FeatureView(name="v", entities=[key], schema=schema, source=pushed)
    store = FeatureStore(folder)
    store.apply([source, pushed, key, view])
    return store


def write_file(path: Path, table: pa.Table, kind: str) -> None:
    if kind == "parquet":
        pq.write_table(table, path)
        return
    rows = table.to_pylist()
    lines = [json.dumps({k: as_json(k, v) for k, v in row.items()}) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines))


def as_json(name: str, value: Any) -> Any:
    """JSON has objects and numbers of its own: as what they are, not as texts of them."""
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if value is None or name in ("k", "is") or isinstance(TYPES[name], Set):
        return value
    if isinstance(TYPES[name], Array):
        return [as_item(name, item) for item in value]
    return as_item(name, value)


def as_item(name: str, value: Any) -> Any:
    return value if name in ("u", "t", "ua") else json.loads(value, parse_float=float)


def table_of(column_of: Any) -> pa.Table:
    return pa.table({**keys_and_times(), **{name: column_of(name) for name in TYPES}})


def entity_rows() -> pd.DataFrame:
    return pd.DataFrame({"k": [0, 1, 2], "event_timestamp": [LATER] * 3})


def online(store: FeatureStore, *keys: int) -> dict[str, list[Any]]:
    rows = [{"k": key} for key in keys]
    return store.get_online_features(FEATURES, rows).to_dict()


def check_online(store: FeatureStore, *keys: int) -> None:
    found = online(store, *keys)
    for name, values in OBJECTS.items():
        assert found[name] == values[: len(keys)], name
        assert [type(v) for v in found[name]] == [type(v) for v in values[: len(keys)]], name


# ---- from files


@pytest.mark.parametrize("column_of", [plain_column, native_column])
def test_files_hold_texts_or_the_types_that_parquet_has(tmp_path, column_of):
    store = make_repo(tmp_path, table_of(column_of))
    table = store.get_historical_features(entity_rows(), FEATURES).to_arrow()
    for name in TYPES:
        found = table[name].to_pylist()
        if isinstance(TYPES[name], Array | Set) or name in ("j", "m", "s"):
            found = parsed(name, found)
            assert found == parsed(name, COLUMNS[name]), name
        else:
            assert found == COLUMNS[name], name
    store.materialize_incremental(LATER)
    check_online(store, 0, 1, 2)


def parsed(name: str, values: list[Any]) -> list[Any]:
    if "j" in name or "m" in name or name.startswith("s"):
        return [
            None
            if v is None
            else [json.loads(i) for i in v]
            if isinstance(v, list)
            else json.loads(v)
            for v in values
        ]
    return values


def test_json_files_hold_objects(tmp_path):
    table = table_of(plain_column)
    store = make_repo(tmp_path, table, "json")
    store.materialize_incremental(LATER)
    found = online(store, 0, 1, 2)
    for name, values in OBJECTS.items():
        if name == "d":  # numbers of JSON: their digits, as far as JSON keeps them
            assert found[name] == [D("1.5"), D("-0.25"), None]
        elif name == "da":
            assert found[name] == [[D("1.1"), D("2.0")], [], None]
        else:
            assert found[name] == values, name


def test_types_are_inferred_from_parquet(tmp_path):
    names = ["d", "m", "s", "da", "sa", "is"]
    columns = {name: native_column(name) for name in names}
    if hasattr(pa, "uuid"):
        columns["u"] = native_column("u")
    pq.write_table(pa.table({**keys_and_times(), **columns}), tmp_path / "a.parquet")
    (tmp_path / "feature_store.yaml").write_text("project: types\n")
    key = Entity(name="k", join_keys=["k"])
    source = FileSource(name="rows", path="a.parquet", timestamp_field="event_timestamp")
    store = FeatureStore(tmp_path)
    store.apply([key, source, FeatureView(name="v", entities=[key], source=source)])
    found = {f.name: f.dtype.text for f in store.get_feature_view("v").features}
    expected = {
        "d": "decimal",
        "m": "map",
        "s": "struct",
        "da": "array<decimal>",
        "sa": "array<struct>",
        "is": "array<int64>",
        "u": "uuid",
    }
    assert found == {name: expected[name] for name in columns}


def test_a_decimal_column_reads_as_a_float_too(tmp_path):
    column = pa.array([D("1.50"), None, D("-3")], pa.decimal128(10, 2))
    pq.write_table(pa.table({**keys_and_times(), "x": column}), tmp_path / "a.parquet")
    (tmp_path / "feature_store.yaml").write_text("project: types\n")
    key = Entity(name="k", join_keys=["k"], value_type=Int64)
    source = FileSource(name="rows", path="a.parquet", timestamp_field="event_timestamp")
    view = FeatureView(
        name="v", entities=[key], source=source, schema=[Field(name="x", dtype=Float64)]
    )
    store = FeatureStore(tmp_path)
    store.apply([key, source, view])
    frame = store.get_historical_features(entity_rows(), ["v:x"]).to_arrow()
    assert frame["x"].to_pylist() == [1.5, None, -3.0]


def test_what_would_lose_its_meaning_is_refused(tmp_path):
    table = pa.table({**keys_and_times(), "x": native_column("d"), "y": native_column("s")})
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "feature_store.yaml").write_text("project: types\n")
    key = Entity(name="k", join_keys=["k"], value_type=Int64)
    source = FileSource(name="rows", path="a.parquet", timestamp_field="event_timestamp")
    store = FeatureStore(tmp_path)
    for name, dtype, found in (
        ("x", Int64, "decimal"),
        ("x", String, "decimal"),
        ("y", String, "struct"),
        ("y", Uuid, "struct"),
    ):
        view = FeatureView(
            name="v", entities=[key], source=source, schema=[Field(name=name, dtype=dtype)]
        )
        with pytest.raises(SchemaError, match=f"column '{name}'.* holds {found}; expected"):
            store.apply([key, source, view])


# ---- writing


def frames(n_rows: int) -> dict[str, Any]:
    """Rows of Python's objects, in every form that a push takes."""
    columns: dict[str, list[Any]] = {
        "k": list(range(n_rows)),
        "event_timestamp": [START] * n_rows,
        **{name: values[:n_rows] for name, values in OBJECTS.items()},
    }
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return {"dict of lists": columns, "list of dicts": rows, "pandas": pd.DataFrame(columns)}


@pytest.mark.parametrize("form", ["dict of lists", "list of dicts", "pandas"])
def test_python_objects_are_pushed(tmp_path, form):
    store = make_repo(tmp_path)
    frame = frames(3)[form]
    before = frame.copy() if form != "list of dicts" else [dict(row) for row in frame]
    store.push("pushed", frame)
    assert str(frame) == str(before)  # the caller's is as it was
    check_online(store, 0, 1, 2)


@pytest.mark.parametrize("form", ["arrow", "polars", "arrow texts"])
def test_tables_are_pushed(tmp_path, form):
    store = make_repo(tmp_path)
    table = table_of(plain_column if form == "arrow texts" else native_column)
    if form == "polars":
        table = table.drop_columns(["m", "ma", "u", "t"])  # which Polars has no types for
        for name in ("m", "ma", "u", "t"):
            table = table.append_column(name, plain_column(name))
    store.push("pushed", pl.from_arrow(table) if form == "polars" else table)
    check_online(store, 0, 1, 2)


def test_offline_writes_keep_the_types_of_the_files(tmp_path):
    store = make_repo(tmp_path, table_of(native_column))
    store.push("pushed", frames(1)["dict of lists"] | {"k": [7]}, to=PushMode.ONLINE_AND_OFFLINE)
    files = sorted((tmp_path / "rows").iterdir())
    assert len(files) == 2
    schemas = [pq.read_schema(path) for path in files]
    assert schemas[0].equals(schemas[1])
    rows = pd.DataFrame({"k": [7], "event_timestamp": [LATER]})
    store.materialize_incremental(LATER)
    check_online(store, 7)
    table = store.get_historical_features(rows, FEATURES).to_arrow()
    assert table["d"].to_pylist() == ["1.50"]


def test_offline_writes_that_do_not_fit_name_the_row(tmp_path):
    store = make_repo(tmp_path, table_of(native_column))
    frame = frames(1)["dict of lists"] | {"k": [7], "d": [D("1.23456")]}
    with pytest.raises(SchemaError, match=r"column 'd', row 0 .*'1\.23456' does not fit decimal"):
        store.push("pushed", frame, to=PushMode.OFFLINE)
    assert len(list((tmp_path / "rows").iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("u", "x", "'x' is no uuid"),
        ("t", "0a0b", "'0a0b' is no uuid"),
        ("d", "1,5", "'1,5' is no decimal number"),
        ("j", "{", "'{' is no JSON value"),
        ("m", "[1]", r"'\[1\]' is no JSON object"),
        ("s", "1", "'1' is no JSON object"),
        ("us", ["x"], "'x' is no uuid"),
        ("da", ["1", "two"], "'two' is no decimal number"),
    ],
)
def test_a_text_that_is_none_is_refused(tmp_path, name, value, said):
    store = make_repo(tmp_path)
    frame = frames(1)["dict of lists"]
    with pytest.raises(SchemaError, match=f"column '{name}', row 0 .*: {said}"):
        store.push("pushed", frame | {name: [value]})
    assert online(store, 0)[name] == [None]


def test_what_json_does_not_have_is_refused(tmp_path):
    store = make_repo(tmp_path)
    frame = frames(1)["dict of lists"] | {"m": [{"a": object()}]}
    with pytest.raises(SchemaError, match="column 'm' cannot be read: JSON has no object"):
        store.push("pushed", frame)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("s", {"a": 1, "b": [], "c": 5}),  # the files have no such member
        ("s", {"a": 1.5, "b": []}),  # which is no whole number
    ],
)
def test_offline_writes_lose_nothing_of_an_object(tmp_path, name, value):
    store = make_repo(tmp_path, table_of(native_column))
    frame = frames(1)["dict of lists"] | {"k": [7], name: [value]}
    with pytest.raises(SchemaError, match=f"column '{name}', row 0 .* does not fit struct"):
        store.push("pushed", frame, to=PushMode.ONLINE_AND_OFFLINE)
    assert online(store, 7)[name] == [None]


def one_feature(folder: Path, dtype: Any, column: pa.Array) -> FeatureStore:
    """A store with one feature, `x`, over a file of a column, which a push source stands before."""
    (folder / "rows").mkdir()
    (folder / "feature_store.yaml").write_text("project: types\nonline_ttl: ignore\n")
    times = {k: v.slice(0, len(column)) for k, v in keys_and_times().items()}
    pq.write_table(pa.table({**times, "x": column}), folder / "rows" / "a.parquet")
    source = FileSource(name="rows", path="rows", timestamp_field="event_timestamp")
    pushed = PushSource(name="pushed", batch_source=source)
    key = Entity(name="k", join_keys=["k"], value_type=Int64)
    field = Field(name="x", dtype=dtype)
    view = FeatureView(name="v", entities=[key], schema=[field], source=pushed)
    store = FeatureStore(folder)
    store.apply([source, pushed, key, view])
    return store


AT = dt.datetime(2024, 1, 1, 12, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.timestamp("us", "UTC"), AT),
        (pa.timestamp("us"), dt.datetime(2024, 1, 1, 0, 0, 0, 250_000)),
        (pa.decimal128(10, 2), D("1.10")),
        (pa.float64(), 0.1),
        (pa.date32(), dt.date(2024, 1, 31)),
        (pa.bool_(), True),
        (pa.list_(pa.int64()), [1, 2]),
        (pa.map_(pa.int64(), pa.string()), {1: "x"}),
        (pa.struct([("deep", pa.int64())]), {"deep": 1}),
    ],
    ids=str,
)
def test_an_object_is_the_same_from_a_file_and_from_a_push(tmp_path, kind, value):
    native = list(value.items()) if isinstance(value, dict) and pa.types.is_map(kind) else value
    column = pa.array([{"a": native}], pa.struct([("a", kind)]))
    store = one_feature(tmp_path, Map, column)
    store.materialize_incremental(LATER)
    rows = {"k": [7], "event_timestamp": [START], "x": [{"a": value}]}
    store.push("pushed", rows, to=PushMode.ONLINE_AND_OFFLINE)
    from_file, pushed = store.get_online_features(["v:x"], [{"k": 0}, {"k": 7}]).to_dict()["x"]
    assert from_file == pushed
    asked = pd.DataFrame({"k": [0, 7], "event_timestamp": [LATER] * 2})
    assert store.get_historical_features(asked, ["v:x"]).to_df()["x"].tolist() == [pushed] * 2


@pytest.mark.parametrize(
    ("dtype", "given", "found"),
    [
        (Map, {"a": float("nan"), "b": pd.NaT, "c": pd.NA}, {"a": None, "b": None, "c": None}),
        (Map, {"a": np.int64(3), "b": np.array([1.5])}, {"a": 3, "b": [1.5]}),
        (Map, {1: D("2.5"), "s": {3, 1}}, {"1": 2.5, "s": [1, 3]}),
        (Set(Decimal), {D("2"), D("1"), D("1.0")}, {D(1), D(2)}),
        (Array(Decimal), [D("1"), float("nan"), None], [D(1), None, None]),
        (Array(Float64), np.array([0.5, 1.5]), [0.5, 1.5]),
        (Array(Uuid), (UUIDS[0],), [UUIDS[0]]),
        (Json, [{"a": 1}, [2]], [{"a": 1}, [2]]),
    ],
    ids=str,
)
def test_what_pandas_and_numpy_have_within_objects(tmp_path, dtype, given, found):
    store = one_feature(tmp_path, dtype, pa.array([None], pa.null()))
    values = [given, None]
    if dtype is Json:  # a list is JSON where a text or a dict says so
        values = [json.dumps(given), "{}"]
    rows = {"k": [7, 8], "event_timestamp": [START] * 2, "x": values}
    series = pd.Series(values, dtype=object)
    for frame in (rows, pd.DataFrame({**rows, "x": series})):
        store.push("pushed", frame)
        assert store.get_online_features(["v:x"], [{"k": 7}]).to_dict()["x"] == [found]


def test_texts_that_python_cannot_hold_stay_texts(tmp_path):
    deep = "[" * 3000 + "]" * 3000
    (tmp_path / "j").mkdir()
    store = one_feature(tmp_path / "j", Json, pa.array([deep]))
    store.materialize_incremental(LATER)
    assert store.get_online_features(["v:x"], [{"k": 0}]).to_dict()["x"] == [deep]
    (tmp_path / "d").mkdir()
    store = one_feature(tmp_path / "d", Set(Decimal), pa.array([["sNaN", "1"]]))
    store.materialize_incremental(LATER)
    assert store.get_online_features(["v:x"], [{"k": 0}]).to_dict()["x"] == [{"sNaN", D(1)}]


def test_uuid_keys_of_files_are_texts(tmp_path):
    """In JSON a text is what it was written as; of Parquet's UUID a key is the text."""
    rows = [{"k": t, "event_timestamp": START.isoformat(), "x": t} for t in TEXTS]
    (tmp_path / "a.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    storage = pa.array([u.bytes for u in UUIDS], pa.binary(16))
    keys = pa.ExtensionArray.from_storage(pa.uuid(), storage) if hasattr(pa, "uuid") else TEXTS
    table = pa.table({"k": keys, "event_timestamp": [START] * 3, "x": TEXTS})
    pq.write_table(table, tmp_path / "a.parquet")
    for kind in ("json", "parquet"):
        (tmp_path / "feature_store.yaml").write_text(f"project: {kind}\n")
        key = Entity(name="k", join_keys=["k"])
        source = FileSource(name=kind, path=f"a.{kind}", timestamp_field="event_timestamp")
        store = FeatureStore(tmp_path)
        store.apply([key, source, FeatureView(name="v", entities=[key], source=source)])
        assert [f.dtype for f in store.get_feature_view("v").features] == [String]
        asked = {"k": TEXTS[:1], "event_timestamp": [LATER]}
        frame = store.get_historical_features(asked, ["v:x"]).to_arrow()
        assert frame["x"].to_pylist() == TEXTS[:1]


def test_a_text_of_a_file_that_is_none_stays_a_text(tmp_path):
    table = table_of(plain_column)
    table = table.set_column(table.column_names.index("u"), "u", pa.array(["x", None, None]))
    store = make_repo(tmp_path, table)
    store.materialize_incremental(LATER)
    assert online(store, 0)["u"] == ["x"]


# ---- reading


def test_frames_of_training_sets_have_dicts(tmp_path):
    store = make_repo(tmp_path, table_of(native_column))
    job = store.get_historical_features(entity_rows(), FEATURES)
    frame = job.to_df()
    assert frame["m"].tolist() == OBJECTS["m"]
    assert frame["s"].tolist() == OBJECTS["s"]
    assert frame["ma"].tolist() == OBJECTS["ma"]
    assert frame["d"].tolist()[:2] == ["1.50", "-0.25"]
    assert frame["is"].tolist() == COLUMNS["is"]
    backend = job.to_df(dtype_backend="pyarrow")
    assert backend["m"].tolist()[0] == '{"k":"v"}'
    field = job.to_arrow().schema.field("us")
    assert field.metadata == {b"tiffin:type": b"set<uuid>"}


def test_frames_of_lookups_have_objects(tmp_path):
    store = make_repo(tmp_path, table_of(native_column))
    store.materialize_incremental(LATER)
    frame = store.get_online_features(FEATURES, [{"k": 0}, {"k": 1}]).to_df()
    for name, values in OBJECTS.items():
        assert frame[name].tolist() == values[:2], name
    times = store.get_online_features(FEATURES, [{"k": 0}]).to_df(include_event_timestamps=True)
    assert times["u"].tolist() == [UUIDS[0]]
    assert times["u__ts"].tolist() == [int(START.timestamp())]


def test_latest_and_history_have_them(tmp_path):
    store = make_repo(tmp_path, table_of(native_column))
    assert store.latest("v").to_df()["m"].tolist() == OBJECTS["m"]
    assert store.history("v", START, LATER).to_df()["s"].tolist() == OBJECTS["s"]


def test_the_server_takes_and_gives_texts(tmp_path):
    store = make_repo(tmp_path, table_of(native_column))
    store.materialize_incremental(LATER)
    names = ["u", "d", "j", "m", "is", "ma"]
    with ServerProcess(tmp_path) as server:
        asked = {"features": [f"v:{name}" for name in names], "entities": {"k": [0]}}
        status, answer = ask(server, "/get-online-features", asked)
        assert status == 200, answer
        values = [column["values"][0] for column in answer["results"][1:]]
        assert values == [COLUMNS[name][0] for name in names]
        row = {name: COLUMNS[name][:1] for name in TYPES}
        row |= {"k": [7], "event_timestamp": [START.isoformat()]}
        body: dict[str, Any] = {"push_source_name": "pushed", "df": row, "to": "online"}
        assert ask(server, "/push", body)[0] == 200
        check_online(store, 7)
        status, said = ask(server, "/push", body | {"df": row | {"u": ["x"]}})
        assert (status, "is no uuid" in str(said)) == (500, True), (status, said)


# ---- on-demand views


def test_functions_get_objects_and_may_return_them(tmp_path):
    store = make_repo(tmp_path, table_of(native_column))
    view = store.get_feature_view("v")
    request = RequestSource(
        name="r", schema=[Field(name="extra", dtype=Map), Field(name="factor", dtype=Decimal)]
    )
    schema = [
        Field(name="price", dtype=Decimal),
        Field(name="both", dtype=Map),
        Field(name="names", dtype=Set(String)),
        Field(name="id", dtype=Uuid),
    ]

    @on_demand_feature_view(sources=[view, request], schema=schema, mode="python")
    def rows(inputs):
        return {
            "price": [
                None if a is None else a * b
                for a, b in zip(inputs["d"], inputs["factor"], strict=True)
            ],
            "both": [{**(a or {}), **b} for a, b in zip(inputs["m"], inputs["extra"], strict=True)],
            "names": [None if s is None else {type(i).__name__ for i in s} for s in inputs["us"]],
            "id": inputs["u"],
        }

    @on_demand_feature_view(sources=[view], schema=[Field(name="n", dtype=Int64)], mode="pandas")
    def sizes(frame):
        return pd.DataFrame({"n": frame["is"].map(lambda s: 0 if s is None else len(s))})

    store.apply([rows, sizes])
    store.materialize_incremental(LATER)
    features = ["rows:price", "rows:both", "rows:names", "rows:id", "sizes:n"]
    given = {"extra": {"q": "r"}, "factor": D(2)}
    answer = store.get_online_features(features, [{"k": k, **given} for k in (0, 1)])
    expected = {
        "price": [D("3.00"), D("-0.50")],
        "both": [{"k": "v", "q": "r"}, {"q": "r"}],
        "names": [{"UUID"}, set()],
        "id": UUIDS[:2],
        "n": [2, 1],
    }
    found = answer.to_dict()
    assert {name: found[name] for name in expected} == expected
    assert answer.to_df()["price"].tolist() == expected["price"]
    rows_of = pd.DataFrame(
        {
            "k": [0, 1],
            "event_timestamp": [LATER] * 2,
            "extra": ['{"q":"r"}'] * 2,
            "factor": ["2"] * 2,
        }
    )
    frame = store.get_historical_features(rows_of, features).to_df()
    assert frame["price"].tolist() == ["3.00", "-0.50"]
    assert frame["both"].tolist() == expected["both"]
    assert frame["n"].tolist() == [2, 1]


def test_a_function_that_returns_something_else_is_named(tmp_path):
    store = make_repo(tmp_path, table_of(native_column))
    view = store.get_feature_view("v")

    @on_demand_feature_view(sources=[view], schema=[Field(name="x", dtype=Map)], mode="python")
    def wrong(inputs):
        return {"x": [object() for _ in inputs["u"]]}

    with pytest.raises(SchemaError, match=r"returned .x. that is not map.*JSON has no object"):
        store.apply([wrong])


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(Decimal, "hello"), (Decimal, True), (Uuid, 5), (Uuid, b"5"), (Map, [1, 2]), (Json, "{")],
    ids=str,
)
def test_a_value_of_another_type_is_refused_from_a_function(tmp_path, dtype, value):
    store = make_repo(tmp_path, table_of(native_column))
    view = store.get_feature_view("v")

    @on_demand_feature_view(sources=[view], schema=[Field(name="x", dtype=dtype)], mode="python")
    def wrong(inputs):
        return {"x": [value for _ in inputs["u"]]}

    with pytest.raises(SchemaError, match=r"returned .x. that is not .* is no"):
        store.apply([wrong])


def test_a_function_of_a_struct_is_tried_with_its_fields(tmp_path):
    store = make_repo(tmp_path, table_of(native_column))
    view = store.get_feature_view("v")

    @on_demand_feature_view(sources=[view], schema=[Field(name="x", dtype=Int64)], mode="python")
    def member(inputs):
        return {"x": [None if s is None else s["a"] for s in inputs["s"]]}

    store.apply([member])
    frame = store.get_historical_features(entity_rows(), ["member:x"]).to_df()
    assert frame["x"].tolist() == [1, None, None] or frame["x"].isna().tolist() == [
        False,
        True,
        True,
    ]


def test_request_data_are_the_same_objects_in_training(tmp_path):
    """Arrow would make one struct of all dicts, with every key in each."""
    store = make_repo(tmp_path, table_of(native_column))
    request = RequestSource(name="r", schema=[Field(name="extra", dtype=Map)])

    @on_demand_feature_view(sources=[request], schema=[Field(name="x", dtype=Json)], mode="python")
    def keys(inputs):
        return {"x": [sorted(d) for d in inputs["extra"]]}

    store.apply([request, keys])
    given = [{"a": 1}, {"b": 2, "c": None}]
    rows = pd.DataFrame({"k": [0, 1], "event_timestamp": [LATER] * 2, "extra": given})
    expected = [["a"], ["b", "c"]]
    frame = store.get_historical_features(rows, ["keys:x"]).to_df()
    assert [json.loads(text) for text in frame["x"]] == expected
    assert rows["extra"].tolist() == given
    asked = [{"extra": d} for d in given]
    assert store.get_online_features(["keys:x"], asked).to_dict()["x"] == expected


def test_leakage_is_looked_for_in_frames_with_dicts(tmp_path):
    store = make_repo(tmp_path, table_of(native_column))
    rows = entity_rows().assign(label=[0, 1, 0])
    frame = store.get_historical_features(rows, ["v:m", "v:s"]).to_df()
    report = store.check_leakage(frame, ["v:m", "v:s"], label="label")
    assert report is not None


# ---- definitions


def test_definitions_come_back_equal(tmp_path):
    store = make_repo(tmp_path)
    found = {f.name: f for f in store.get_feature_view("v").features}
    for name, dtype in TYPES.items():
        assert found[name] == Field(name=name, dtype=dtype)
        assert found[name].dtype == dtype
        assert found[name].tags == {}
    assert repr(found["s"].dtype) == "Struct({'a': Int64, 'b': Array(String)})"
    document = found["s"].to_document()
    assert document["dtype"] == "struct"
    tag = json.loads(document["tags"]["feast:struct_schema"])
    assert tag == {"a": "INT64", "b": "Array(STRING)"}
    nested = Field(name="n", dtype=Struct({"a": Struct({"b": Int64}), "c": Array(Uuid)}))
    assert Field.from_document(nested.to_document()).dtype == nested.dtype
    broken = {"name": "n", "dtype": "struct", "tags": {"feast:struct_schema": "{"}}
    assert Field.from_document(broken).dtype.text == "struct"


@pytest.mark.parametrize("dtype", [Set(Json), Set(Map), Array(Array(Int64)), Array(Set(String))])
def test_nested_types_are_refused_by_name(tmp_path, dtype):
    (tmp_path / "feature_store.yaml").write_text("project: types\n")
    pq.write_table(pa.table({**keys_and_times(), "x": [None] * 3}), tmp_path / "a.parquet")
    key = Entity(name="k", join_keys=["k"], value_type=Int64)
    source = FileSource(name="rows", path="a.parquet", timestamp_field="event_timestamp")
    view = FeatureView(
        name="v", entities=[key], source=source, schema=[Field(name="x", dtype=dtype)]
    )
    with pytest.raises(TiffinError, match=f"'{dtype.text}' is not a type"):
        FeatureStore(tmp_path).apply([key, source, view])


@pytest.mark.parametrize("dtype", [Uuid, Decimal, Set(String)])
def test_they_are_no_join_keys(tmp_path, dtype):
    (tmp_path / "feature_store.yaml").write_text("project: types\n")
    key = Entity(name="k", join_keys=["k"], value_type=dtype.to_value_type())
    with pytest.raises(TiffinError, match="which cannot be a key"):
        FeatureStore(tmp_path).apply([key])


def test_redis_refuses_maps_and_structs_by_name(tmp_path):
    (tmp_path / "feature_store.yaml").write_text(
        "project: types\nonline_store: {type: redis, connection_string: '127.0.0.1:1'}\n"
    )
    pq.write_table(pa.table({**keys_and_times(), "x": ["{}"] * 3}), tmp_path / "a.parquet")
    key = Entity(name="k", join_keys=["k"], value_type=Int64)
    source = FileSource(name="rows", path="a.parquet", timestamp_field="event_timestamp")
    for dtype in (Map, Struct({"t": UnixTimestamp})):
        view = FeatureView(
            name="v", entities=[key], source=source, schema=[Field(name="x", dtype=dtype)]
        )
        with pytest.raises(UnsupportedError, match=r"feature .x. is of type (map|struct), which"):
            FeatureStore(tmp_path).apply([key, source, view])
