"""Sources of files, with both DuckDBs: forms of paths, order, and every mistake as one sentence."""

import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engines import find_library
from rides import utc

from tiffin import Entity, FeatureStore, FeatureView, Field, FileSource, errors
from tiffin.types import Array, Bytes, Date, Float64, Int32, Int64, String, UnixTimestamp

DAY = utc(2024, 1, 1)
END = utc(2024, 1, 2)


@pytest.fixture(params=["installed", "older"])
def store(request, tmp_path, monkeypatch) -> FeatureStore:
    """A store without definitions, in a folder that has no files."""
    monkeypatch.setenv("TIFFIN_DUCKDB_LIBRARY", find_library(request.param))
    (tmp_path / "feature_store.yaml").write_text("project: files\nonline_ttl: ignore\n")
    return FeatureStore(tmp_path)


@pytest.fixture
def root(store) -> Path:
    return store.repo_path


def table_of(*x: object, day: dt.datetime | None = DAY, **changes: object) -> pa.Table:
    """Rows of key 1, all at one time, whose feature x tells which is which."""
    columns = {
        "k": pa.array([1] * len(x), pa.int64()),
        "event_timestamp": pa.array([day] * len(x), pa.timestamp("us", "UTC")),
        "x": pa.array(x, pa.int64()) if all(isinstance(v, int) for v in x) else pa.array(x),
    }
    return pa.table({**columns, **changes})


def write(path: Path, *x: object, **changes: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table_of(*x, **changes), path)
    return path


def write_text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))
    return path


def apply(store, path, schema=None, keys=(("k", Int64),), **source) -> None:
    entities = [Entity(name=name, value_type=kind) for name, kind in keys]
    options = {"timestamp_field": "event_timestamp"} | source
    view = FeatureView(
        name="v",
        entities=entities,
        source=FileSource(name="files", path=str(path), **options),
        schema=[Field(name=name, dtype=kind) for name, kind in (schema or {"x": Int64}).items()],
    )
    store.apply(view)


def read(store, *names, at=END, **keys):
    """Return the features of one entity row."""
    rows = {name: [value] for name, value in (keys or {"k": 1}).items()}
    rows["event_timestamp"] = [at]
    features = [f"v:{name}" for name in names or ("x",)]
    [row] = store.get_historical_features(rows, features).to_arrow().to_pylist()
    values = [row[name] for name in names or ("x",)]
    return values if names else values[0]


def said(caught) -> str:
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 1024
    return text


def refused(store, path, *words, error=errors.TiffinError, **options) -> None:
    """Applying fails with a sentence that holds the words, and nothing is applied."""
    with pytest.raises(error) as caught:
        apply(store, path, **options)
    for word in (Path(path).name, *words):
        assert word in said(caught)
    assert not (store.repo_path / "data" / "registry.db").exists()


def fails(store, *words, error=errors.TiffinError) -> None:
    """Reading fails with a sentence that holds the words."""
    with pytest.raises(error) as caught:
        read(store)
    for word in words:
        assert word in said(caught)


# ---- paths ----


def test_the_asked_for_duckdb_reads(store):
    version = store._engine.duckdb_version()
    assert version.startswith("1.") == ("older" in os.environ["TIFFIN_DUCKDB_LIBRARY"])


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize(
    "path",
    ["f/a", "f/*/*.parquet", "f/**", "f/**/x?.parquet", "f/**/*.pq", "f/[a]/x[12].parquet", "f"],
)
def test_a_path_is_a_folder_or_a_glob(store, root, path, absolute):
    write(root / "f/a/x1.parquet", 1)
    write(root / "f/a/x2.parquet", 2)
    write(root / "f/a/deeper/y.pq", 3)
    apply(store, root / path if absolute else path)
    # the last file in byte order decides: "f/a/deeper" comes before "f/a/x"
    assert read(store) == (3 if path.endswith("pq") else 2)


def test_a_path_is_a_file_of_any_name_if_its_format_is_said(store, root):
    shutil.copy(write(root / "x.parquet", 5), root / "x.data")
    apply(store, "x.data", file_format="parquet")
    assert read(store) == 5


def test_unfinished_files_and_markers_are_passed_over(store, root):
    write(root / "f/a.parquet", 1)
    for name in ("_SUCCESS", ".crc", "notes.txt", "b.parquet.tmp"):
        (root / "f" / name).write_bytes(b"no Parquet")
    write(root / "f/_temporary/z.parquet", 2)
    write(root / "f/.hidden.parquet", 3)
    apply(store, "f")
    assert read(store) == 1


@pytest.mark.parametrize(
    "name",
    [
        "with space",
        "ünï 名前 😀",
        "it's",
        'say "hi"',
        "a[1]",
        "q?m",
        "star*",
        "back\\slash",
        "%20 {} $x ~",
        "-dash",
        "a=b=c",
        "; drop table x --",
        "n" * 200,
    ],
)
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_names_of_files_and_folders_may_hold_anything(store, root, name, form):
    path = f"{name}/{name}.{form}"
    if form == "csv":
        write_text(root / path, "k,event_timestamp,x", "1,2024-01-01,7")
    else:
        write(root / path, 7)
    apply(store, path)
    assert read(store) == 7
    apply(store, name)
    assert read(store) == 7


# ---- order ----

IN_BYTE_ORDER = ["10", "9", "B", "a b/x", "a.b/x", "a/x", "a/y", "a0", "ä", "名"]


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_of_equal_rows_the_last_file_in_byte_order_wins(store, root, form):
    for i, name in reversed(list(enumerate(IN_BYTE_ORDER))):
        if form == "csv":
            write_text(root / f"f/{name}.csv", "k,event_timestamp,x", f"1,2024-01-01,{i}")
        else:
            write(root / f"f/{name}.parquet", i)
    apply(store, "f")
    for i in reversed(range(len(IN_BYTE_ORDER))):
        assert read(store) == i
        store.materialize(None, END)
        online = store.get_online_features(["v:x"], [{"k": 1}]).to_dict()["x"]
        assert online == [i]
        (root / f"f/{IN_BYTE_ORDER[i]}.{form}").unlink()
        if i == 0:
            break
    fails(store, "/f'", "no file", error=errors.IoError)


def test_of_equal_rows_in_one_file_the_last_row_wins_whatever_the_row_groups(store, root):
    pq.write_table(table_of(*range(50)), root / "x.parquet", row_group_size=7)
    apply(store, "x.parquet")
    assert read(store) == 49


def test_of_equal_rows_in_partitions_the_last_folder_in_byte_order_wins(store, root):
    for i, n in enumerate([1, 10, 2, 9]):  # bytes: n=1/, n=10/, n=2/, n=9/
        write(root / f"f/n={n}/x.parquet", i)
    apply(store, "f", {"x": Int64, "n": Int64})
    assert read(store, "x", "n") == [3, 9]


# ---- partitions ----


def test_a_partition_column_is_a_feature_of_its_own_type(store, root):
    for form in ("parquet", "csv"):
        for year, city, day in ((2023, "Köln", "2023-05-01"), (2024, "a b", "2024-05-01")):
            path = root / form / f"year={year}" / f"city={city}" / f"day={day}" / f"x.{form}"
            if form == "csv":
                write_text(path, "k,event_timestamp,x", f"1,{year}-01-01,{year}")
            else:
                write(path, year, day=utc(year, 1, 1))
    for form in ("parquet", "csv"):
        apply(store, form, {"x": Int64, "year": Int64, "city": String, "day": Date})
        names = ("x", "year", "city", "day")
        assert read(store, *names) == [2024, 2024, "a b", dt.date(2024, 5, 1)]
        early = utc(2023, 6, 1)
        assert read(store, *names, at=early) == [2023, 2023, "Köln", dt.date(2023, 5, 1)]


def test_a_partition_column_is_a_key(store, root):
    for shop in (1, 2):
        write(root / f"f/shop={shop}/a.parquet", shop, shop + 10)
    apply(store, "f", keys=(("k", Int64), ("shop", Int64)))
    assert read(store, k=1, shop=2) == 12
    assert read(store, k=1, shop=1) == 11
    assert read(store, k=1, shop=3) is None
    store.materialize(None, END)
    rows = {"k": [1, 1, 1], "shop": [2, 1, 3]}
    assert store.get_online_features(["v:x"], rows).to_dict()["x"] == [12, 11, None]


def test_a_partition_column_is_the_event_time(store, root):
    for i, day in enumerate(("2024-01-01", "2024-01-03", "2024-01-02")):
        path = root / f"f/day={day}/x.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.table({"k": pa.array([1]), "x": pa.array([i])}), path)
    apply(store, "f", timestamp_field="day")
    assert read(store, at=utc(2024, 1, 2)) == 2
    assert read(store, at=utc(2024, 2, 1)) == 1
    assert read(store, at=utc(2023, 1, 1)) is None


def test_folders_above_the_path_are_no_partitions(store, root):
    write(root / "year=2024/f/x.parquet", 1)
    apply(store, "year=2024/f")
    assert read(store) == 1
    with pytest.raises(errors.SchemaError, match="year"):
        apply(store, "year=2024/f", {"x": Int64, "year": Int64})


def test_files_in_folders_of_other_keys_are_refused(store, root):
    write(root / "f/a=1/x.parquet", 1)
    write(root / "f/b=1/x.parquet", 1)
    refused(store, "f", "f/a=1/x.parquet", "f/b=1/x.parquet", "keys", error=errors.SchemaError)


# ---- files that are none ----


def test_an_empty_file_is_told(store, root):
    for name in ("x.parquet", "x.csv"):
        (root / name).touch()
        refused(store, name, "0 bytes", error=errors.IoError)


def test_an_empty_file_among_others_is_told_by_name(store, root):
    write(root / "f/a.parquet", 1)
    (root / "f/b.parquet").touch()
    refused(store, "f", "f/b.parquet", "0 bytes", error=errors.IoError)


def test_a_truncated_file_is_told_at_every_length(store, root):
    whole = write(root / "whole.parquet", *range(100)).read_bytes()
    for n in sorted({*range(1, 16), *range(16, len(whole), 97), len(whole) - 1}):
        (root / "x.parquet").write_bytes(whole[:n])
        refused(store, "x.parquet", error=errors.IoError)


def test_what_is_no_parquet_is_told(store, root):
    write_text(root / "x.parquet", "k,event_timestamp,x", "1,2024-01-01,1")
    refused(store, "x.parquet", "not a Parquet file", error=errors.IoError)
    (root / "y.parquet").write_bytes(b"PAR1" + b"\xff" * 100 + b"\x20\0\0\0PAR1")
    refused(store, "y.parquet", error=errors.IoError)


def test_a_damaged_page_is_told_at_the_read(store, root):
    path = root / "x.parquet"
    numbers = np.random.default_rng(1).integers(0, 2**40, 20_000)
    table = table_of(*(int(n) for n in numbers))
    pq.write_table(table, path, compression="zstd", use_dictionary=False)
    apply(store, "x.parquet")
    content = bytearray(path.read_bytes())
    for i in range(1000, len(content) // 2, 7):
        content[i] ^= 0x5A
    path.write_bytes(content)
    fails(store, "x.parquet", error=errors.CorruptError)


def test_a_path_without_files_is_told(store, root):
    (root / "empty").mkdir()
    refused(store, "empty", "no file", error=errors.IoError)
    (root / "other").mkdir()
    (root / "other/x.text").write_text("{}")
    refused(store, "other", "no file", error=errors.IoError)
    refused(store, "*.parquet", "pattern", error=errors.IoError)
    refused(store, "none.parquet", error=errors.IoError)
    refused(store, "none/x.csv", error=errors.IoError)


def test_a_folder_of_two_formats_asks_which(store, root):
    write(root / "f/a.parquet", 1)
    write_text(root / "f/b.csv", "k,event_timestamp,x", "1,2024-01-01,2")
    refused(store, "f", "1 Parquet", "1 CSV", error=errors.InvalidError)
    apply(store, "f/*.csv")
    assert read(store) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_told(store, root):
    write(root / "x.parquet", 1).chmod(0)
    refused(store, "x.parquet", error=errors.IoError)


# ---- columns of several files ----


def test_a_column_that_a_later_file_lacks_is_told(store, root):
    write(root / "f/a.parquet", 1)
    pq.write_table(table_of(2).drop_columns(["x"]), root / "f/b.parquet")
    refused(store, "f", "f/b.parquet", "no column 'x'", "f/a.parquet", error=errors.SchemaError)


def test_a_column_that_only_a_later_file_has_is_not_read(store, root):
    write(root / "f/a.parquet", 1)
    write(root / "f/b.parquet", 2, new=[5])
    apply(store, "f")
    assert read(store) == 2


@pytest.mark.parametrize(
    ("first", "later", "found"),
    [
        (pa.int64(), pa.string(), "string"),
        (pa.int64(), pa.float64(), "float64"),
        (pa.int32(), pa.int64(), "int64"),
        (pa.float32(), pa.float64(), "float64"),
        (pa.string(), pa.int64(), "int64"),
        (pa.string(), pa.binary(), "bytes"),
        (pa.timestamp("us", "UTC"), pa.timestamp("us"), "timestamp"),
        (pa.timestamp("us", "UTC"), pa.date32(), "date"),
        (pa.list_(pa.int64()), pa.list_(pa.string()), "VARCHAR"),
        (pa.list_(pa.int64()), pa.int64(), "int64"),
    ],
    ids=str,
)
def test_a_column_of_another_type_in_a_later_file_is_told(store, root, first, later, found):
    kinds = {"int64": Int64, "int32": Int32, "float": Float64, "string": String}
    kind = kinds.get(str(first), Array(Int64) if pa.types.is_list(first) else UnixTimestamp)
    write(root / "f/a.parquet", 1, y=pa.nulls(1, first))
    write(root / "f/b.parquet", 2, y=pa.nulls(1, later))
    refused(store, "f", "f/b.parquet", "'y'", error=errors.SchemaError, schema={"y": kind})
    # and so at a read, when the file comes after the apply
    (root / "f/b.parquet").unlink()
    apply(store, "f", {"x": Int64, "y": kind})
    write(root / "f/b.parquet", 2, y=pa.nulls(1, later))
    fails(store, "f/b.parquet", "'y'", "expected", "found", error=errors.SchemaError)


def test_a_narrower_or_null_column_in_a_later_file_is_read_exactly(store, root):
    write(root / "f/a.parquet", 1, y=pa.array([2**62]), z=pa.array([0.1]), t=["a"])
    write(
        root / "f/b.parquet",
        2,
        y=pa.array([-7], pa.int16()),
        z=pa.array([0.5], pa.float32()),
        t=pa.nulls(1),
    )
    apply(store, "f", {"x": Int64, "y": Int64, "z": Float64, "t": String})
    assert read(store, "x", "y", "z", "t") == [2, -7, 0.5, None]


def test_columns_may_stand_in_another_order_in_each_file(store, root):
    write(root / "f/a.parquet", 1)
    table = table_of(2)
    pq.write_table(table.select(table.column_names[::-1]), root / "f/b.parquet")
    apply(store, "f")
    assert read(store) == 2


def test_two_columns_of_one_name_are_told(store, root):
    table = table_of(1)
    twice = pa.Table.from_arrays([*table.columns, table["x"]], ["k", "event_timestamp", "x", "x"])
    pq.write_table(twice, root / "x.parquet")
    refused(store, "x.parquet", "'x'", "columns 3 and 4", error=errors.InvalidError)
    write_text(root / "x.csv", "k,event_timestamp,x,x", "1,2024-01-01,1,2")
    refused(store, "x.csv", "'x'", "columns 3 and 4", error=errors.InvalidError)


def test_names_that_differ_in_case_only_are_two_columns(store, root):
    pq.write_table(table_of(1, X=[2], x_1=[3], X_1=[4]), root / "x.parquet")
    write_text(root / "x.csv", "k,event_timestamp,x,X,x_1,X_1", "1,2024-01-01,1,2,3,4")
    for path in ("x.parquet", "x.csv"):
        apply(store, path, {"x": Int64, "X": Int64, "x_1": Int64, "X_1": Int64})
        assert read(store, "x", "X", "x_1", "X_1") == [1, 2, 3, 4]


def test_columns_without_any_value_are_of_the_declared_type(store, root):
    write(root / "f/a.parquet", 1, y=pa.nulls(1))
    apply(store, "f", {"x": Int64, "y": Array(String)})
    assert read(store, "x", "y") == [1, None]
    write_text(root / "x.csv", "k,event_timestamp,x,y", "1,2024-01-01,1,", "1,2024-01-01,2,")
    apply(store, "x.csv", {"x": Int64, "y": Date})
    assert read(store, "x", "y") == [2, None]


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_thousands_of_columns_are_read(store, root, form):
    n = 3000
    names = [f"f{i}" for i in range(n)]
    if form == "csv":
        numbers = ",".join(str(i) for i in range(n))
        write_text(
            root / "x.csv", "k,event_timestamp," + ",".join(names), f"1,2024-01-01,{numbers}"
        )
    else:
        write(root / "x.parquet", 1, **{name: [i] for i, name in enumerate(names)})
    apply(store, f"x.{form}", dict.fromkeys(names, Int64))
    assert read(store, *names) == list(range(n))


# ---- times ----


@pytest.mark.parametrize(
    ("arrow", "raw"),
    [
        (pa.timestamp("us", "UTC"), 2**63 - 2),
        (pa.timestamp("us", "UTC"), 2**63 - 1),  # DuckDB's infinity
        (pa.timestamp("us"), -(2**63)),
        (pa.timestamp("ns"), 2**63 - 2),
        (pa.timestamp("ns"), -(2**63)),
        (pa.timestamp("ns", "UTC"), 2**63 - 1),
        (pa.timestamp("ms"), 2**63 - 1),
        (pa.timestamp("ms", "UTC"), 9_223_372_036_854_775),
        (pa.date32(), 2**31 - 2),
        (pa.date32(), -(2**31)),
    ],
    ids=str,
)
def test_a_far_time_in_a_file_never_wins_and_never_fails(store, root, arrow, raw):
    times = pa.array([raw, 1], arrow)
    pq.write_table(
        pa.table({"k": pa.array([1, 1]), "event_timestamp": times, "x": pa.array([1, 2])}),
        root / "x.parquet",
    )
    apply(store, "x.parquet")
    assert read(store) == 2
    store.materialize(None, END)
    assert store.get_online_features(["v:x"], [{"k": 1}]).to_dict()["x"] == [2]


def test_milliseconds_that_duckdb_cannot_hold_are_told(store, root):
    """DuckDB reads milliseconds as microseconds, so from the year 294247 on it refuses the file."""
    times = pa.array([2**62, 1], pa.timestamp("ms", "UTC"))
    pq.write_table(
        pa.table({"k": pa.array([1, 1]), "event_timestamp": times, "x": pa.array([1, 2])}),
        root / "x.parquet",
    )
    apply(store, "x.parquet")
    fails(store, "x.parquet", "Timestamp(MS)", error=errors.SchemaError)


def test_times_as_spark_wrote_them_are_read_to_the_microsecond(store, root):
    times = pa.array([1_600_000_000_123_456_000, 1_600_000_000_123_457_000], pa.timestamp("ns"))
    table = pa.table({"k": pa.array([1, 1]), "event_timestamp": times, "x": pa.array([1, 2])})
    pq.write_table(table, root / "x.parquet", use_deprecated_int96_timestamps=True)
    apply(store, "x.parquet")
    at = dt.datetime.fromtimestamp(1_600_000_000, dt.UTC)
    assert read(store, at=at.replace(microsecond=123_456)) == 1
    assert read(store, at=at.replace(microsecond=123_457)) == 2


# ---- CSV ----


def test_times_of_a_csv_are_instants_whatever_their_zone(store, root):
    path = root / "x.csv"
    for zoned in (
        "2024-01-01T12:00:00Z",
        "2024-01-01 12:00:00+00",
        "2024-01-01 14:00:00+02:00",
        "2024-01-01 07:00:00-05:00",
        "2024-01-01T17:30:00+05:30",
        "2024-01-01 12:00:00",
        "2024-01-01T12:00:00.000000",
    ):
        write_text(path, "k,event_timestamp,x", f"1,{zoned},1", "1,2024-01-01 12:00:00.000001Z,2")
        apply(store, "x.csv")
        assert read(store, at=utc(2024, 1, 1, 11, 59, 59)) is None, zoned
        assert read(store, at=utc(2024, 1, 1, 12)) == 1, zoned
        assert read(store, at=utc(2024, 1, 1, 12, 0, 1)) == 2, zoned


def test_naive_and_zoned_times_may_be_in_different_files_of_a_csv(store, root):
    write_text(root / "f/a.csv", "k,event_timestamp,x", "1,2024-01-01,1")
    write_text(root / "f/b.csv", "k,event_timestamp,x", "1,2024-01-01 06:00:00,2")
    write_text(root / "f/c.csv", "k,event_timestamp,x", "1,2024-01-01 14:00:00+02:00,3")
    apply(store, "f")
    assert read(store, at=utc(2024, 1, 1)) == 1
    assert read(store, at=utc(2024, 1, 1, 11)) == 2
    assert read(store, at=utc(2024, 1, 1, 12)) == 3


def test_a_csv_time_that_cannot_be_read_is_told_at_apply(store, root):
    write_text(root / "x.csv", "k,event_timestamp,x", "1,2024-01-01,1", "1,yesterday,2")
    refused(store, "x.csv", "'event_timestamp'", "string", "timestamp", error=errors.SchemaError)


@pytest.mark.parametrize("bad", ["yesterday", "2024-13-01", "2024-02-30", "1704067200", "12:00"])
def test_a_csv_time_that_cannot_be_read_is_told_with_its_row(store, root, bad):
    good = [f"1,2024-01-01 00:00:00,{i}" for i in range(3000)]
    write_text(root / "f/a.csv", "k,event_timestamp,x", *good)
    apply(store, "f")
    write_text(root / "f/b.csv", "k,event_timestamp,x", *good[:2500], f"1,{bad},1", *good[:9])
    words = ("f/b.csv", "row 2501", "'event_timestamp'", "expected timestamp", f"found '{bad}'")
    fails(store, *words, error=errors.SchemaError)
    with pytest.raises(errors.SchemaError) as caught:
        store.materialize(None, END)
    assert all(word in said(caught) for word in words)


@pytest.mark.parametrize(
    ("kind", "name", "bad"),
    [
        (Int64, "int64", "1.5"),
        (Int64, "int64", "1e3"),
        (Int64, "int64", "9223372036854775808"),
        (Int32, "int32", "many"),
        (Float64, "float64", "1,5"),
        (Date, "date", "2024-02-30"),
        (Date, "date", "2024-01-01 10:00:00"),
        (UnixTimestamp, "timestamp", "later"),
    ],
    ids=str,
)
def test_a_csv_cell_that_is_not_of_its_type_is_told_with_its_row(store, root, kind, name, bad):
    rows = ["1,2024-01-01,", f'1,2024-01-01,"{bad}"', "1,2024-01-01,soon"]
    write_text(root / "x.csv", "k,event_timestamp,x", *rows)
    apply(store, "x.csv", {"x": kind})
    words = ("x.csv", "row 2", "'x'", f"expected {name}", f"found '{bad}'")
    fails(store, *words, error=errors.SchemaError)


def test_a_csv_column_of_numbers_or_times_is_not_cut_down(store, root):
    rows = ["1,2024-01-01,1.5,2024-01-01 10:00:00", "1,2024-01-01,2,2024-01-01"]
    write_text(root / "x.csv", "k,event_timestamp,x,y", *rows)
    for name, kind, found in (("x", Int64, "float64"), ("y", Date, "timestamp")):
        schema = {name: kind}
        refused(store, "x.csv", f"'{name}'", found, error=errors.SchemaError, schema=schema)


def test_a_csv_gives_the_declared_type_whatever_its_cells_look_like(store, root):
    write_text(
        root / "x.csv",
        "k,event_timestamp,zip,flag,part,score,day,low",
        "0010,2024-01-01,01234,1,2024-01-01,7,2024-01-01,-inf",
        "1e1,2024-01-01,99999,0,2024-01-02,8,2024-01-02,inf",
    )
    schema = {"zip": String, "flag": Int64, "part": Bytes, "score": Float64, "day": UnixTimestamp}
    apply(store, "x.csv", {**schema, "low": Float64}, keys=(("k", String),))
    row = read(store, "zip", "flag", "part", "score", "day", "low", k="0010")
    assert row == ["01234", 1, b"2024-01-01", 7.0, DAY, float("-inf")]
    row = read(store, "zip", "flag", "part", "score", "day", "low", k="1e1")
    assert row == ["99999", 0, b"2024-01-02", 8.0, utc(2024, 1, 2), float("inf")]


def test_a_file_of_a_csv_without_values_has_no_say_in_the_types(store, root):
    header = "k,event_timestamp,created,x"
    write_text(root / "f/a.csv", header)
    write_text(root / "f/b.csv", header, "1,2024-01-01,,1", "1,2024-01-01,,")
    write_text(root / "f/c.csv", header, ",,2024-01-01 10:00:00+01:00,")
    write_text(root / "f/d.csv", header)
    apply(store, "f", created_timestamp_column="created")
    assert read(store) is None  # the second row of b
    inferred = FeatureView(
        name="w",
        entities=[Entity(name="k")],
        source=FileSource(name="w", path="f", timestamp_field="event_timestamp"),
    )
    store.apply(inferred)
    found = {f.name: f.dtype for f in store.get_feature_view("w").features}
    assert found == {"created": UnixTimestamp, "x": Int64}


def test_a_csv_without_rows_is_an_empty_source(store, root):
    write_text(root / "x.csv", "k,event_timestamp,x")
    apply(store, "x.csv")
    assert read(store) is None
    [report] = store.materialize(None, END).views
    assert report["rows_written"] == 0
    write_text(root / "x.csv", "k,event_timestamp,x", "1,2024-01-01,5")
    assert read(store) == 5


def test_other_headers_in_a_later_csv_are_told(store, root):
    write_text(root / "f/a.csv", "k,event_timestamp,x", "1,2024-01-01,1")
    write_text(root / "f/b.csv", "k,event_timestamp,y", "1,2024-01-01,1")
    refused(store, "f", "f/b.csv", "'y'", "'x'", error=errors.SchemaError)
    write_text(root / "f/b.csv", "k,event_timestamp", "1,2024-01-01")
    refused(store, "f", "f/b.csv", "columns", error=errors.SchemaError)


def test_a_ragged_line_of_a_csv_is_told(store, root):
    write_text(root / "x.csv", "k,event_timestamp,x", "1,2024-01-01,1", "1,2024-01-01", "1,2024,3")
    refused(store, "x.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_of_a_csv_is_found(store, root, separator):
    rows = ["k,event_timestamp,x,t", '1,2024-01-01,1,"a,;|b"', '1,2024-01-01,2,"a ""b"""']
    lines = [row.replace(",", separator) for row in rows]
    write_text(root / "x.csv", *lines)
    apply(store, "x.csv", {"x": Int64, "t": String})
    assert read(store, "x", "t") == [2, 'a "b"']


# ---- files that change ----


def write_links(folder: Path, n_rows: int, n_links: int) -> None:
    """Make a source of many rows out of one file under many names: long to read, quick to make."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    times = pa.array(rng.integers(0, 10**15, n_rows), pa.timestamp("us", "UTC"))
    keys = rng.integers(0, 1000, n_rows)
    table = pa.table({"k": keys, "event_timestamp": times, "x": np.arange(n_rows)})
    pq.write_table(table, folder / "0.parquet", compression="none")
    for i in range(1, n_links):
        os.link(folder / "0.parquet", folder / f"{i}.parquet")


CHANGES = {
    "grown": lambda path: path.write_bytes(path.read_bytes() * 2),
    "rewritten": lambda path: pq.write_table(table_of(2), path),
    "replaced": lambda path: Path(shutil.copy(path, f"{path}.new")).replace(path),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "touched": lambda path: os.utime(path, ns=(1, 1)),
    "removed": lambda path: path.unlink(),
}


@pytest.mark.parametrize("verb", ["historical", "materialize"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_told(store, root, change, verb):
    write_links(root / "f", 300_000, 40)
    path = write(root / "f/zz.parquet", 1)
    apply(store, "f")
    is_changed = False

    def progress(*_):
        nonlocal is_changed
        if not is_changed:
            is_changed = True
            CHANGES[change](path)

    with pytest.raises(errors.IoError) as caught:
        if verb == "materialize":
            store._engine.materialize(end_us=10**16, progress=progress)
        else:
            spine = pa.table({"k": [1], "event_timestamp": [END]})
            store._engine.historical('{"features": ["v:x"]}', spine, progress=progress)
    assert is_changed
    assert "f/zz.parquet" in said(caught)
    [status] = json.loads(store._engine.status())
    assert status["end"] is None
    if change != "removed":
        path.unlink()
    store.materialize(None, END)
    assert store.get_online_features(["v:x"], [{"k": 1}]).to_dict()["x"] != [None]


@pytest.mark.parametrize(
    ("compression", "where"),
    [("zstd", "header"), ("snappy", "header"), ("gzip", "header"), ("gzip", "page")],
)
def test_a_damaged_page_is_told_with_its_row_group(store, root, compression, where):
    """Bytes of the third row group's x are turned over, in a folder of files that are well.

    In the page itself only gzip, which has a checksum of its own, tells for certain.
    """
    n = 8000
    x = np.random.default_rng(1).integers(0, 2**60, n)
    options = {"row_group_size": 2000, "compression": compression, "use_dictionary": False}
    path = root / "f/x.parquet"
    write(root / "f/a.parquet", 1)
    write(root / "f/z.parquet", 1)
    pq.write_table(table_of(*x.tolist()), path, **options)
    apply(store, "f")
    group = pq.ParquetFile(path).metadata.row_group(2)
    [chunk] = [group.column(i) for i in range(3) if group.column(i).path_in_schema == "x"]
    body = bytearray(path.read_bytes())
    begin = chunk.data_page_offset + (10 if where == "header" else 300)
    for i in range(begin, begin + 100):
        body[i] ^= 0xFF
    path.write_bytes(body)
    with pytest.raises(errors.CorruptError) as caught:
        store.materialize(None, END)
    assert "x.parquet', row group 3 (rows 4001 to 6000)" in said(caught)


# ---- Ctrl-C ----

INTERRUPTED = """
import datetime, sys
import tiffin

store = tiffin.FeatureStore(sys.argv[1])
told = []

def progress(what, done, total):
    if not told:
        told.append(what)
        print("reading", flush=True)  # from here on the signal may come

def historical():
    import pyarrow as pa

    times = pa.array([10**15] * 1000, pa.timestamp("us", "UTC"))
    spine = pa.table({"k": list(range(1000)), "event_timestamp": times})
    store._engine.historical('{"features": ["big:x"]}', spine, progress=progress)

def materialize():
    store._engine.materialize(end_us=10**16, views=["big"], progress=progress)

try:
    {"historical": historical, "materialize": materialize}[sys.argv[2]]()
except KeyboardInterrupt:
    print("interrupted", flush=True)
else:
    print("finished", flush=True)
end = datetime.datetime(2024, 1, 2)
rows = {"k": [1], "event_timestamp": [end]}
table = store.get_historical_features(rows, ["v:x"]).to_arrow()
store.materialize(None, end, feature_views=["v"])
answer = store.get_online_features(["v:x"], [{"k": 1}]).to_dict()
print(table["x"].to_pylist(), answer["x"], flush=True)
"""


@pytest.mark.parametrize("verb", ["historical", "materialize"])
def test_ctrl_c_ends_a_scan_and_leaves_the_store_usable(store, root, verb):
    write_links(root / "big", 1_000_000, 200)
    write(root / "x.parquet", 7)
    apply(store, "x.parquet")
    source = FileSource(name="big", path="big", timestamp_field="event_timestamp")
    fields = [Field(name="x", dtype=Int64)]
    store.apply(FeatureView(name="big", entities=[Entity(name="k")], source=source, schema=fields))
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(root), verb],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "reading\n", child.stderr.read()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
    finally:
        child.kill()
    assert out.splitlines() == ["interrupted", "[7] [7]"], err
    assert child.returncode == 0
    assert err == ""
